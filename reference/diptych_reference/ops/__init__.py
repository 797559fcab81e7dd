"""The operators, one module a family. Importing this package fills the registry."""

from diptych_reference.ops import (  # noqa: F401
    activation,
    cast,
    constant,
    control_flow,
    conv,
    dropout,
    elementwise,
    indexing,
    logical,
    matmul,
    normalization,
    pool,
    quantization,
    recurrent,
    reduce,
    resize,
    shape,
    softmax,
)
