"""What is live: the ledger, and a release loaded, followed and packed."""
