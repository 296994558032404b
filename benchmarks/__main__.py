"""`python benchmarks`, from a checkout."""

import sys

from command import main

sys.exit(main())
