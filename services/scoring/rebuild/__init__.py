"""`myaku rebuild`: the state of scoring from the log alone, beside the one that is kept."""
