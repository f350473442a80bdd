"""`python -m assay`."""

from __future__ import annotations

import sys

from assay.commands import run


def main() -> None:
    """The command line's entry."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
