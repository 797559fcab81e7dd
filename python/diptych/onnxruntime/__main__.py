"""`python -m diptych.onnxruntime SCRIPT ...`: run a program with `import onnxruntime` served by Diptych."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from diptych.onnxruntime.install import install


def main() -> None:
    """Install the drop-in, then hand over to the program as Python would start it."""
    parser = argparse.ArgumentParser(
        prog="python -m diptych.onnxruntime",
        description="Run a Python program with `import onnxruntime` served by Diptych.",
        usage="%(prog)s [-h] (-m MODULE | SCRIPT) [ARGUMENT ...]",
    )
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module, as for python -m")
    parser.add_argument("script", metavar="SCRIPT", help="path of the program, or name of the module after -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="arguments of the program")
    options = parser.parse_args()
    install()
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
    elif not Path(options.script).exists():
        parser.error(f"no such file: {options.script}")
    else:
        sys.path.insert(0, str(Path(options.script).resolve().parent))
        runpy.run_path(options.script, run_name="__main__")


if __name__ == "__main__":
    main()
