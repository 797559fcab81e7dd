"""Shape rules of the domain ai.onnx.ml."""

from diptych.testing.families.ml import encoders, features, linear, maps, svm, trees

__all__ = ["encoders", "features", "linear", "maps", "svm", "trees"]
