"""Where implementations of ONNX go wrong: a test for each place, on both panels, that the wrong reading fails."""
