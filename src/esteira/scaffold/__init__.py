"""A use case to begin with, written from a file of records: what ``esteira init`` reads, decides and writes."""
