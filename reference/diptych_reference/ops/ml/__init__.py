"""The domain ai.onnx.ml: trees, linear models, support vectors, encoders, maps. Importing it fills the registry."""

from diptych_reference.ops.ml import encoders, features, linear, maps, svm, trees

__all__ = ["encoders", "features", "linear", "maps", "svm", "trees"]
