"""What drafting does to a verifier under load."""
