"""Signal processing: Fourier transforms, window functions, the mel scale."""

from diptych_reference.ops.signal import fourier, mel, windows

__all__ = ["fourier", "mel", "windows"]
