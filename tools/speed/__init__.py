"""The speed record: what asv_bench measured as a site that needs no network, and the repository's history in counts.

python -m tools.speed site       pages of asv's results, one an operator, into .build/speed
python -m tools.speed history    count each landing's instructions, lines and operators into docs/speed
python -m tools.speed plots      draw docs/speed from what was counted
"""
