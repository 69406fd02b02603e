"""`python -m archiver`, for environments whose scripts are on no path."""

import sys

from archiver.cli import main

sys.exit(main())
