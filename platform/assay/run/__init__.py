"""What a script in studies/ calls: `sys.exit(run_study(STUDY))`, or `sys.exit(run_search(SEARCH))` for a search."""

from assay.run.search_command import run_search
from assay.run.study_command import run_study

__all__ = ["run_search", "run_study"]
