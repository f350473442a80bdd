"""Export of a finished experiment's network as files that run without this program."""
