"""The arena drawn: time to the right, addresses upwards, a box for each value."""

from __future__ import annotations

from markupsafe import Markup, escape

from diptych.explain.arena import Arena

__all__ = ["bytes_in_words", "picture_of"]

WIDTH, HEIGHT, LEFT, BOTTOM = 1000, 320, 70, 24
MOST = 2000  # boxes; more could not be told apart


def picture_of(arena: Arena) -> Markup:
    """An SVG of the arena's first segments; boxes beyond the greatest `MOST` are left out, and the picture says so."""
    blocks = sorted(arena.blocks, key=lambda block: -block.bytes * (block.last - block.first + 1))
    segments = sorted({block.segment for block in blocks})
    spans = {segment: max(block.last for block in blocks if block.segment == segment) + 1 for segment in segments}
    starts, total = {}, 0
    for segment in segments:
        starts[segment], total = total, total + spans[segment]
    across, up = (WIDTH - LEFT) / max(total, 1), (HEIGHT - BOTTOM) / max(arena.bytes, 1)
    boxes = []
    for block in blocks[:MOST]:
        x = LEFT + (starts[block.segment] + block.first) * across
        height = max(block.bytes * up, 0.7)
        y = HEIGHT - BOTTOM - block.offset * up - height
        width = max((block.last - block.first + 1) * across - 0.5, 0.7)
        title = f"{block.name}: {block.offset:#x}, {bytes_in_words(block.bytes)}, tasks {block.first} to {block.last}"
        boxes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"<title>{escape(title)}</title></rect>"
        )
    left_out = f", {len(blocks) - MOST} small values left out" if len(blocks) > MOST else ""
    base = HEIGHT - BOTTOM
    return Markup(
        f'<svg class="arena" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="values in the arena over time">'
        f'<path d="M{LEFT} 0V{base}H{WIDTH}"/>{"".join(boxes)}'
        f'<text x="{LEFT - 6}" y="12" text-anchor="end">{bytes_in_words(arena.bytes)}</text>'
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">task 0</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 6}" text-anchor="end">task {max(total - 1, 0)}{left_out}</text></svg>'
    )


def bytes_in_words(count: int) -> str:
    """`512 bytes`, `3.2 KiB`, `17 MiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
