"""`python -m minitransformer`: the same as the command `minitransformer`."""

import sys

from .cli import main

sys.exit(main())
