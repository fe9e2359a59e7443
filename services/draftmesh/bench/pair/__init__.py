"""Every decoding method on one pair, one stream."""
