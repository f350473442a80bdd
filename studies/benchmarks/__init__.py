"""Benchmarks of the platform itself."""
