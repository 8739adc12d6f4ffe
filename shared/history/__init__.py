"""Event files as one stream in the order of time, with the midnights that pass in it."""
