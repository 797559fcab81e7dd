"""ONNX's own backend suite, run on both panels."""
