"""Data sets: their images, splits, views and batches."""
