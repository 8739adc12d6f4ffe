"""`myaku backfill`: the kept log is read for signals that a changed configuration added."""
