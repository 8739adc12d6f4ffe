"""`myaku rejected`: what was refused or put aside, and how it is sent again."""
