"""Reports of searches: pages, figures, and tables as text."""
