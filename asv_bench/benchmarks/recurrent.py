"""LSTM layers: a frame of a stream, a sentence."""

from __future__ import annotations

from .panels import PANELS, engine_only, node_runner, normal


class LSTM:
    """Batch 1, inputs as wide as the state."""

    params = [PANELS, [1, 32], [32, 256], ["forward", "bidirectional"]]
    param_names = ["panel", "steps", "hidden", "direction"]
    version = "1"

    def setup(self, panel, steps, hidden, direction):
        engine_only(panel, steps * hidden > 1024)
        directions = 2 if direction == "bidirectional" else 1
        scale = hidden**-0.5
        weights = [normal(directions, 4 * hidden, hidden, seed=i) * scale for i in range(2)]
        weights = [w.astype("float32") for w in (*weights, normal(directions, 8 * hidden))]
        x = normal(steps, 1, hidden)
        self.run = node_runner(panel, "LSTM", [x], weights, outputs=3, hidden_size=hidden, direction=direction)

    def time_run(self, panel, steps, hidden, direction):
        self.run()
