"""`python -m diptych`: the same as the `diptych` command."""

import sys

from diptych.cli import main

sys.exit(main())
