"""What makes data trustworthy: checks on records before they are written."""
