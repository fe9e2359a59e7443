"""Session records, where they are kept, and who reads them while they grow."""
