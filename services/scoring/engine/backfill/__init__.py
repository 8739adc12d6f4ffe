"""What the kept log says of signals that a changed configuration added.

A state of its own reads the log with these signals alone, up to the record at which they took
effect, and what it has learned is told in pieces. The partition, which folds the signals from that
record on, takes them in: every event is on one side of the record, so nothing counts twice.
"""
