"""Benchmarks of the served product."""
