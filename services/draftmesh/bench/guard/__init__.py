"""Whether drafting that does not pay costs anything."""
