"""Customer success, account by account: the matrix, onboarding, and the signals that are told."""
