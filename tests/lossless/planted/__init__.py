"""Bugs that are planted into the product for the time of a test."""
