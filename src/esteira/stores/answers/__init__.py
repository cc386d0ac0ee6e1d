"""What was answered and what became of it: logs, batches made ahead, outcomes."""
