"""Brings the peers: `python -m tests.peers`; see `install.py`."""

import sys

from tests.peers.install import main

sys.exit(main())
