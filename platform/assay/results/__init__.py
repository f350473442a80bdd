"""Results as files that pandas reads: their folders, columns and values."""
