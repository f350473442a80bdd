"""`python -m assay`."""

from __future__ import annotations

import sys

from assay.terminal import interrupt_in_one_line


def main() -> None:
    """Run the command line."""
    interrupt_in_one_line()
    from assay.commands import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
