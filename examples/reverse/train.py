"""Train a transformer of one layer to write words of eight letters backwards, and export it as `reverse.onnx`.

    python examples/reverse/train.py        # needs NumPy and onnx; takes some seconds

It is a language model: it reads `stressed|` and says which letter comes next, then reads that too, and so on.
One layer, one head, no feed-forward part: letters and positions -> LayerNormalization -> attention to what came before
-> residual -> a score for each letter. The trainer is the textbook: cross-entropy, back-propagation by hand, Adam.
The words are random letters from SEED, so a given NumPy build writes the same weights every time; another BLAS may
differ in the last digits, which is why `reverse.onnx` is checked in. docs/book/09_attention.py looks inside.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent
SEED = 9
LETTERS = "abcdefghijklmnopqrstuvwxyz|"  # tokens are indices into it; | ends the word that is to be turned
WORD = 8
CONTEXT = 2 * WORD  # the last letter is only ever predicted, never read
WIDTH = 32
STEPS = 400
BATCH = 64
LEARNING_RATE = 1e-2
EPSILON = 1e-5

Parameters = dict[str, np.ndarray]


def encode(text: str) -> np.ndarray:
    """Tokens of a text, int64 [length]."""
    return np.array([LETTERS.index(letter) for letter in text], dtype=np.int64)


def sequences(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random words, the mark and the words backwards: int64 [count, 2 * WORD + 1]."""
    words = rng.integers(0, len(LETTERS) - 1, (count, WORD))
    mark = np.full((count, 1), LETTERS.index("|"))
    return np.concatenate([words, mark, words[:, ::-1]], axis=1)


def initial_parameters(rng: np.random.Generator) -> Parameters:
    """Normal weights of variance 1 / (number of inputs); a gain of one and a bias of zero."""

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0.0, np.sqrt(1.0 / WIDTH), shape)

    return {
        "letter": normal(len(LETTERS), WIDTH),
        "position": normal(CONTEXT, WIDTH),
        "gain": np.ones(WIDTH),
        "bias": np.zeros(WIDTH),
        "query": normal(WIDTH, WIDTH),
        "key": normal(WIDTH, WIDTH),
        "value": normal(WIDTH, WIDTH),
        "out": normal(WIDTH, WIDTH),
        "score": normal(WIDTH, len(LETTERS)),
    }


def causal_mask(length: int) -> np.ndarray:
    """Zero where position i may look at position j <= i, minus infinity elsewhere: [length, length]."""
    return np.where(np.tri(length, dtype=bool), 0.0, -np.inf)


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def forward(p: Parameters, tokens: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the scores of the next letter, [n, t, letters], and what the gradient needs."""
    length = tokens.shape[1]
    x = p["letter"][tokens] + p["position"][:length]
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = 1.0 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    unit = centred * scale
    normal = unit * p["gain"] + p["bias"]
    q, k, v = normal @ p["query"], normal @ p["key"], normal @ p["value"]
    attention = softmax(q @ k.swapaxes(1, 2) / np.sqrt(WIDTH) + causal_mask(length))
    mixed = attention @ v
    y = x + mixed @ p["out"]
    kept = {"scale": scale, "unit": unit, "normal": normal, "q": q, "k": k, "v": v}
    return y @ p["score"], {**kept, "attention": attention, "mixed": mixed, "y": y}


def loss_and_gradients(p: Parameters, batch: np.ndarray) -> tuple[float, Parameters]:
    """Mean cross-entropy of the letters after the mark, and its gradient with respect to every parameter."""
    tokens, targets = batch[:, :-1], batch[:, 1:]
    scores, c = forward(p, tokens)
    probability = softmax(scores)
    said = probability[:, WORD:]  # what stands before cannot be predicted: it is random
    picked = np.take_along_axis(said, targets[:, WORD:, None], axis=-1)
    dscores = np.zeros_like(scores)
    dscores[:, WORD:] = said
    np.put_along_axis(dscores[:, WORD:], targets[:, WORD:, None], picked - 1.0, axis=-1)
    dscores /= picked.size

    g: Parameters = {"score": np.einsum("ntd,ntc->dc", c["y"], dscores)}
    dy = dscores @ p["score"].T
    g["out"] = np.einsum("ntd,nte->de", c["mixed"], dy)
    dmixed = dy @ p["out"].T
    dattention = dmixed @ c["v"].swapaxes(1, 2)
    weighted = dattention * c["attention"]
    dlogits = (weighted - c["attention"] * weighted.sum(axis=-1, keepdims=True)) / np.sqrt(WIDTH)
    dnormal = np.zeros_like(c["normal"])
    for name, d in (
        ("value", c["attention"].swapaxes(1, 2) @ dmixed),
        ("query", dlogits @ c["k"]),
        ("key", dlogits.swapaxes(1, 2) @ c["q"]),
    ):
        g[name] = np.einsum("ntd,nte->de", c["normal"], d)
        dnormal += d @ p[name].T
    g["gain"] = (dnormal * c["unit"]).sum(axis=(0, 1))
    g["bias"] = dnormal.sum(axis=(0, 1))
    dunit = dnormal * p["gain"]
    along = (dunit * c["unit"]).mean(axis=-1, keepdims=True)
    dx = dy + c["scale"] * (dunit - dunit.mean(axis=-1, keepdims=True) - c["unit"] * along)
    g["position"] = dx.sum(axis=0)
    g["letter"] = np.zeros_like(p["letter"])
    np.add.at(g["letter"], tokens, dx)
    return float(-np.log(picked).mean()), g


def train(seed: int = SEED) -> Parameters:
    """Adam with a learning rate that falls to zero along a cosine."""
    rng = np.random.default_rng(seed)
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    for step in range(1, STEPS + 1):
        loss, gradients = loss_and_gradients(p, sequences(rng, BATCH))
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        for name, g in gradients.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g * g
            p[name] -= rate * (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
        if step % 100 == 0 or step == 1:
            print(f"step {step:5d}  loss {loss:.4f}")
    return p


def accuracy(p: Parameters, count: int = 500) -> float:
    """Share of words, never seen in training, whose eight letters all come out right; each is read as it should be."""
    batch = sequences(np.random.default_rng(SEED + 1), count)
    said = forward(p, batch[:, :-1])[0][:, WORD:].argmax(axis=-1)
    return float((said == batch[:, WORD + 1 :]).all(axis=1).mean())


def export(p: Parameters, share: float) -> onnx.ModelProto:
    """The model: `tokens` int64 [n, t] -> `scores` [n, t, letters] and `attention` [n, t, t]; t up to CONTEXT."""
    node = helper.make_node
    nodes = [
        node("Gather", ["letter", "tokens"], ["letters"], "letters"),
        node("Shape", ["tokens"], ["length"], "length", start=1),
        node("Slice", ["position", "zero", "length"], ["positions"], "positions"),
        node("Add", ["letters", "positions"], ["x"], "x"),
        node("LayerNormalization", ["x", "gain", "bias"], ["normal"], "normal", epsilon=EPSILON),
        node("MatMul", ["normal", "query"], ["q"], "q"),
        node("MatMul", ["normal", "key"], ["k"], "k"),
        node("MatMul", ["normal", "value"], ["v"], "v"),
        node("Transpose", ["k"], ["k_turned"], "k_turned", perm=[0, 2, 1]),
        node("MatMul", ["q", "k_turned"], ["products"], "products"),
        node("Mul", ["products", "scale"], ["scaled"], "scaled"),
        node("Concat", ["length", "length"], ["square"], "square", axis=0),
        node("Slice", ["mask", "zeros", "square"], ["causal"], "causal"),
        node("Add", ["scaled", "causal"], ["masked"], "masked"),
        node("Softmax", ["masked"], ["attention"], "attention", axis=-1),
        node("MatMul", ["attention", "v"], ["mixed"], "mixed"),
        node("MatMul", ["mixed", "out"], ["message"], "message"),
        node("Add", ["x", "message"], ["y"], "y"),
        node("MatMul", ["y", "score"], ["scores"], "scores"),
    ]
    arrays: dict[str, np.ndarray] = {name: value.astype(np.float32) for name, value in p.items()}
    arrays |= {"scale": np.float32(1.0 / np.sqrt(WIDTH)), "mask": causal_mask(CONTEXT).astype(np.float32)}
    arrays |= {"zero": np.zeros(1, np.int64), "zeros": np.zeros(2, np.int64)}
    graph = helper.make_graph(
        nodes,
        "reverse",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", "t"])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "t", len(LETTERS)]),
            helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["n", "t", "t"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
        doc_string="Writes words of eight letters backwards. Tokens are indices into abcdefghijklmnopqrstuvwxyz|.",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    model.producer_name = "diptych examples/reverse/train.py"
    helper.set_model_props(model, {"held_out_accuracy": f"{share:.4f}", "letters": LETTERS, "seed": str(SEED)})
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, measure on words that were not seen, write the model."""
    parameters = train()
    share = accuracy(parameters)
    print(f"{share:.1%} of 500 new words come out right")
    onnx.save(export(parameters, share), FOLDER / "reverse.onnx")


if __name__ == "__main__":
    main()
