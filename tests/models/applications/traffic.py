"""Tell what the detectors of an intersection are, from atspm-detector's own sample of events; print its table as JSON.

python traffic.py onnxruntime|diptych
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import drop_in


def main(backend: str) -> None:
    drop_in.choose(backend)
    import atspm_detector

    sample = Path(atspm_detector.__file__).parent / "data" / "sample_events.parquet"
    detectors, phases = atspm_detector.predict(str(sample), return_phases=True)
    drop_in.show([json.loads(table.to_json(orient="records")) for table in (detectors, phases)])


if __name__ == "__main__":
    main(*sys.argv[1:])
