"""Packages written for ONNX Runtime, run unchanged on the drop-in."""
