"""MelWeightMatrix: triangles on the mel scale, `mel(f) = 2595 log10(1 + f / 700)`, in binary64."""

from __future__ import annotations

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidInputError, ShapeError
from diptych_reference.operator import Array, operator
from diptych_reference.ops.signal.fourier import scalar
from diptych_reference.ops.signal.windows import converted, number_type

LOG_10 = float.fromhex("0x1.26bb1bbb55516p+1")  # rn(log 10)


@operator("MelWeightMatrix", since=17)
def mel_weight_matrix(
    num_mel_bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_edge_hertz: Array,
    upper_edge_hertz: Array,
    *,
    output_datatype: int = 1,
) -> Array:
    """[dft_length // 2 + 1, num_mel_bins]: column i is a triangle of height 1 over the bins `b_i .. b_(i+2)`.

    `b_i = floor(rn(rn((dft_length + 1) * hertz_i) / sample_rate))`, hertz_i at
    `rn(rn(i * step) + mel(lower))`, `step = rn(rn(mel(upper) - mel(lower)) / (num_mel_bins + 2))`. What lies outside
    the matrix is left out.
    """
    dtype = number_type(output_datatype)
    bands, length, rate = (
        scalar(num_mel_bins, "num_mel_bins"),
        scalar(dft_length, "dft_length"),
        scalar(sample_rate, "sample_rate"),
    )
    if bands < 0 or length < 0 or rate < 1:
        raise InvalidInputError(f"{bands} bands of a transform of length {length} at {rate} samples a second")
    low, high = mel(lower_edge_hertz, "lower_edge_hertz"), mel(upper_edge_hertz, "upper_edge_hertz")
    step = (high - low) / np.float64(bands + 2)
    mels = np.arange(bands + 2).astype(np.float64) * step + low
    hertz = 700.0 * (numerics.exp(mels / 2595.0 * LOG_10) - 1.0)
    edges = np.floor((np.float64(length) + 1.0) * hertz / np.float64(rate))
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    j = np.arange(length // 2 + 1).astype(np.float64)[:, None]
    rising = np.where((left <= j) & (j <= centre), (j - left) / (centre - left), 0.0)
    rising = np.where(centre == left, np.where(j == centre, 1.0, 0.0), rising)
    falling = (right > centre) & (centre <= j) & (j < right)
    return converted(np.where(falling, (right - j) / (right - centre), rising), dtype)


def mel(edge: Array, name: str) -> np.float64:
    """`rn(rn(2595 * log(rn(1 + rn(f / 700)))) / log 10)`."""
    if edge.size != 1 or edge.ndim > 1:
        raise ShapeError(f"{name} has shape {list(edge.shape)}, expected a scalar")
    f = edge.astype(np.float64).reshape(1)
    return np.float64((2595.0 * numerics.log(1.0 + f / 700.0) / LOG_10)[0])
