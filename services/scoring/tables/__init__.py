"""The tables of a partition, each feature's in a module: its rows, how they are saved and read."""
