"""What network delay costs drafting."""
