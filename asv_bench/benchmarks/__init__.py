"""Benchmarks of both panels; the panel is the first parameter, so that one plot shows both."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for tools, which no distribution carries
