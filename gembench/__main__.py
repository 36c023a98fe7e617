"""`python -m gembench`: the command line."""

import sys

from gembench.cli import main

if __name__ == "__main__":
    sys.exit(main())
