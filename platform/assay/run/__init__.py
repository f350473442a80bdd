"""The entry points of scripts in studies/: `sys.exit(run_study(STUDY))` and `sys.exit(run_search(SEARCH))`."""

from assay.run.search_command import run_search
from assay.run.study_command import run_study

__all__ = ["run_search", "run_study"]
