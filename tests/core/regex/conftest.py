from __future__ import annotations

import sys
from pathlib import Path

# The strategies are shared by several test files: with --import-mode=importlib nothing puts it on the path.
sys.path.insert(0, str(Path(__file__).parents[3]))
