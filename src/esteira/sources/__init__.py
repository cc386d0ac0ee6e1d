"""Connectors: files and SQL tables as sources of a use case, declared and not programmed."""
