"""`myaku backtest`: what the scores of a history said, against what followed."""
