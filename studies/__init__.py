"""Studies: scripts that train a paper's tables or search for better values."""
