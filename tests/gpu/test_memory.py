"""A batch that does not fit: a clear error, and what to do."""
