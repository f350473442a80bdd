"""The command line of a search's script."""

from __future__ import annotations

from collections.abc import Sequence

from assay.run.search_flags import parser
from assay.run.search_options import SearchOptions
from assay.run.search_run import SearchRun
from assay.run.submission import check_reachable, submit_this
from assay.search.search import Search
from assay.terminal import exit_code, print_line


def run_search(search: Search, arguments: Sequence[str] | None = None) -> int:
    """Run a search and return its exit code.

    0: the budget is spent; 1: some configurations failed; 2: a user's mistake; 130 or 143: stopped.
    """
    return exit_code(lambda: _run(search, SearchOptions.parse(parser(search).parse_args(arguments))))


def _run(search: Search, options: SearchOptions) -> int:
    check_reachable(options.launch)
    run = SearchRun.make(search, options)
    run.configurations.check()
    if options.launch.job_address:
        return submit_this(options.launch.job_address)
    if options.plan:
        run.print_plan()
        return 0
    resolve = run.launcher.resolver(print_line)
    if options.report_only:
        run.study_selection.check_exists()
    else:
        run.configurations.check_data(resolve)  # before anything is written
    with run.study_selection.lead():
        return run.report() if options.report_only else run.train(resolve)
