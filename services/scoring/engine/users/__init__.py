"""Users of accounts: who they are, on which days they did what, and the rank that it gives them."""
