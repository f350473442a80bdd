"""What a script in studies/ calls: `sys.exit(main(STUDY))`, or `sys.exit(explore(SEARCH))` for a search."""

from assay.run.command import main
from assay.run.explore import explore

__all__ = ["explore", "main"]
