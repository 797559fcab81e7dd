"""Hostile inputs: models that are damaged, wrong, greedy or odd, and what engines make of them.

    python -m tools.hostile                                       the table for both panels
    python -m tools.hostile --engines diptych,onnxruntime --only file/ --verbose

Every input has to be refused with a typed error, or run where it is valid: nothing may crash, hang or take more memory
than a gigabyte. tests/robustness/test_hostile.py holds both panels to that.
"""

from tools.hostile import arithmetic, bombs, files, graphs, tensors, wire
from tools.hostile.case import ACCEPT, CASES, EITHER, REFUSE, Hostile

__all__ = [
    "ACCEPT", "CASES", "EITHER", "REFUSE", "Hostile", "arithmetic", "bombs", "files", "graphs", "tensors", "wire",
]  # fmt: skip
