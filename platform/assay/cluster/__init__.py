"""Gangs of worker processes on a Ray cluster, and the dispatcher that serves them."""
