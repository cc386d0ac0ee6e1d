"""The only rooms that read or write: one vendor each, whose objects never leave their file."""
