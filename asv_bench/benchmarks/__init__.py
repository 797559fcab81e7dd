"""Benchmarks of both panels; the panel is the first parameter, so that one plot shows both."""
