"""`python -m refmer` is `refmer`."""

import sys

from refmer.cli import main

sys.exit(main())
