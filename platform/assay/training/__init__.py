"""One training, from its networks and data to its stored result."""
