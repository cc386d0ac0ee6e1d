"""Point-in-time features: the knowledge-time join, the Feast stores built on it, freshness and parity."""
