"""What callgrind counts: models from a folder on one panel, each once to warm up and once counted.

    python counted.py PANEL FOLDER COUNT

It prints the numbers of the models that ran. It knows nothing but the panel, so that any commit's panel will do.
callgrind instruments nothing until it is asked to (--instr-atstart=no), which makes importing ten times as fast.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# valgrind.h, x86-64: a client request is this sequence, which does nothing elsewhere, with RAX at its six words.
CLIENT_REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# callgrind.h: requests count from the tool's base, "CT".
DUMP, ZERO, START, STOP = ((ord("C") << 24 | ord("T") << 16) + number for number in (0, 1, 4, 5))


def valgrind_request() -> Callable[[int], None]:
    """Return a function that asks something of valgrind."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CLIENT_REQUEST)
    words = ctypes.c_uint64 * 6
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.POINTER(words))(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def request(number: int, page: mmap.mmap = page) -> None:  # which keeps the code's page alive
        call(words(number))

    return request


def prepared(panel: str, content: bytes) -> Any:
    """A session of the panel."""
    if panel == "reference":
        from diptych_reference import ReferenceSession

        return ReferenceSession(content)
    import diptych

    return diptych.InferenceSession(content, diptych.SessionOptions(threads=1))


def main(panel: str, folder: Path, count: int) -> None:
    """Run them all."""
    request = valgrind_request()
    gc.disable()  # it would collect now in one run, now in another
    for i in range(count):
        feeds = pickle.loads((folder / f"{i}.pickle").read_bytes())
        try:
            session = prepared(panel, (folder / f"{i}.onnx").read_bytes())
            session.run(None, feeds)
        except Exception as error:  # an operator that an older commit lacks, whatever it says of it
            print(f"{i}: {error}", file=sys.stderr)
            continue
        request(START)
        request(ZERO)
        session.run(None, feeds)
        request(DUMP)
        request(STOP)
        print(i, flush=True)
        gc.collect()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
