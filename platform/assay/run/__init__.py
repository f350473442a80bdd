"""What a script in studies/ calls: `sys.exit(main(STUDY))`."""

from assay.run.command import main

__all__ = ["main"]
