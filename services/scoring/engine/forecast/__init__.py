"""When accounts will enter a lower band if they stay silent: the engine on days to come."""
