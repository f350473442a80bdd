"""Reports of studies: pages, figures, and tables as text."""
