"""Raw and feature tables: versions, intake, quarantine, schemas, statistics."""
