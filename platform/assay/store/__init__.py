"""The store: documents, checkpoints and claims by key."""
