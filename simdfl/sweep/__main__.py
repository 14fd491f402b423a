"""``python -m simdfl.sweep``: see :mod:`simdfl.sweep.command`."""

import sys

from simdfl.sweep.command import main

if __name__ == "__main__":
    sys.exit(main())
