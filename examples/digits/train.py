"""Train the digit classifier of this folder and export it as `digits.onnx`, with ten held-out images beside it.

    python examples/digits/train.py        # needs NumPy, onnx and scikit-learn (for its 1797 handwritten digits)

The network: pixels 0..16 -> /16 -> Conv 3x3 (16) -> Relu -> MaxPool 2x2 -> Conv 3x3 (32) -> Relu -> MaxPool 2x2
-> Gemm (10) -> Softmax.
The trainer is the textbook: cross-entropy, back-propagation by hand, Adam, mini-batches.
Everything random comes from SEED, so a given NumPy build writes the same weights every time; another BLAS may differ in
the last digits, which is why `digits.onnx` is checked in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent
SEED = 20
HELD_OUT = 360  # of 1797 images, never seen in training
EPOCHS = 30
BATCH = 64
LEARNING_RATE = 2e-3

Parameters = dict[str, np.ndarray]


def split(seed: int = SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (train images, train labels, held-out images, held-out labels); images: float32 [n, 1, 8, 8], 0..16."""
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    order = np.random.default_rng(seed).permutation(len(images))
    held_out, train = order[:HELD_OUT], order[HELD_OUT:]
    return images[train], digits.target[train], images[held_out], digits.target[held_out]


def initial_parameters(rng: np.random.Generator) -> Parameters:
    """He-normal weights, zero biases."""

    def he(*shape: int) -> np.ndarray:
        return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[1:])), shape)

    return {
        "conv1.weight": he(16, 1, 3, 3),
        "conv1.bias": np.zeros(16),
        "conv2.weight": he(32, 16, 3, 3),
        "conv2.bias": np.zeros(32),
        "gemm.weight": he(10, 128),
        "gemm.bias": np.zeros(10),
    }


def patches(x: np.ndarray) -> np.ndarray:
    """Return the 3x3 neighbourhoods of [n, c, h, w], zero outside, as [n, h, w, c * 9]."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # [n, c, h, w, 3, 3]
    n, c, h, w = x.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """3x3 convolution with padding 1: ([n, m, h, w], the patches that the gradient needs)."""
    columns = patches(x)
    y = columns @ weight.reshape(len(weight), -1).T + bias
    return y.transpose(0, 3, 1, 2), columns


def convolve_gradient(dy: np.ndarray, columns: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Gradients of `convolve` by (x, weight, bias). The one for x is a convolution with the flipped kernel."""
    m, c = weight.shape[:2]
    flat = dy.transpose(0, 2, 3, 1).reshape(-1, m)
    dw = (flat.T @ columns.reshape(len(flat), -1)).reshape(weight.shape)
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    dx, _ = convolve(dy, flipped, np.zeros(c))
    return dx, dw, flat.sum(axis=0)


def max_pool(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2x2 max pooling: ([n, c, h/2, w/2], a mask of the maxima, ties shared)."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    y = blocks.max(axis=(3, 5))
    mask = (blocks == y[:, :, :, None, :, None]).astype(x.dtype)
    return y, mask / mask.sum(axis=(3, 5), keepdims=True)


def max_pool_gradient(dy: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gradient of `max_pool` with respect to its input."""
    n, c, h, _, w, _ = mask.shape
    return (mask * dy[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)


def loss_and_gradients(p: Parameters, images: np.ndarray, labels: np.ndarray) -> tuple[float, Parameters]:
    """Return mean cross-entropy of a batch and its gradient with respect to every parameter."""
    a1, columns1 = convolve(images / 16.0, p["conv1.weight"], p["conv1.bias"])
    p1, mask1 = max_pool(np.maximum(a1, 0.0))
    a2, columns2 = convolve(p1, p["conv2.weight"], p["conv2.bias"])
    p2, mask2 = max_pool(np.maximum(a2, 0.0))
    flat = p2.reshape(len(images), -1)
    logits = flat @ p["gemm.weight"].T + p["gemm.bias"]

    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -log_probability[rows, labels].mean()

    dlogits = np.exp(log_probability)
    dlogits[rows, labels] -= 1.0
    dlogits /= len(labels)
    gradients = {"gemm.weight": dlogits.T @ flat, "gemm.bias": dlogits.sum(axis=0)}
    d2 = max_pool_gradient((dlogits @ p["gemm.weight"]).reshape(p2.shape), mask2) * (a2 > 0)
    d1, gradients["conv2.weight"], gradients["conv2.bias"] = convolve_gradient(d2, columns2, p["conv2.weight"])
    d0 = max_pool_gradient(d1, mask1) * (a1 > 0)
    _, gradients["conv1.weight"], gradients["conv1.bias"] = convolve_gradient(d0, columns1, p["conv1.weight"])
    return float(loss), gradients


def predict(p: Parameters, images: np.ndarray) -> np.ndarray:
    """Return the most likely digit of each image."""
    x, _ = max_pool(np.maximum(convolve(images / 16.0, p["conv1.weight"], p["conv1.bias"])[0], 0.0))
    x, _ = max_pool(np.maximum(convolve(x, p["conv2.weight"], p["conv2.bias"])[0], 0.0))
    return (x.reshape(len(images), -1) @ p["gemm.weight"].T + p["gemm.bias"]).argmax(axis=1)


def train(images: np.ndarray, labels: np.ndarray, seed: int = SEED) -> Parameters:
    """Adam over EPOCHS epochs with a learning rate that falls to zero along a cosine."""
    rng = np.random.default_rng(seed)
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    steps = EPOCHS * (len(images) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        total = 0.0
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            loss, gradients = loss_and_gradients(p, images[batch], labels[batch])
            total += loss
            step += 1
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name, g in gradients.items():
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g * g
                p[name] -= rate * (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1:3d}  mean loss {total / (len(images) // BATCH):.4f}")
    return p


def export(p: Parameters, accuracy: float) -> onnx.ModelProto:
    """Return the trained network as an ONNX model; input `image` [n, 1, 8, 8], output `probability` [n, 10]."""
    nodes = [
        helper.make_node("Div", ["image", "full_scale"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "conv1.weight", "conv1.bias"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("MaxPool", ["r1"], ["m1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["m1", "conv2.weight", "conv2.bias"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("MaxPool", ["r2"], ["m2"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m2"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "gemm.weight", "gemm.bias"], ["logits"], "gemm", transB=1),
        helper.make_node("Softmax", ["logits"], ["probability"], "softmax", axis=1),
    ]
    initializers = [numpy_helper.from_array(np.float32(16.0), "full_scale")]
    initializers += [numpy_helper.from_array(value.astype(np.float32), name) for name, value in p.items()]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 10])],
        initializers,
        doc_string="Handwritten digits, 8x8 pixels with values 0..16, as in scikit-learn's load_digits.",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "diptych examples/digits/train.py"
    helper.set_model_props(model, {"held_out_accuracy": f"{accuracy:.4f}", "seed": str(SEED)})
    onnx.checker.check_model(model, full_check=True)
    return model


def save_samples(images: np.ndarray, labels: np.ndarray) -> None:
    """Save the first held-out image of each digit, whatever the result: `images/<digit>.npy`, [1, 1, 8, 8]."""
    folder = FOLDER / "images"
    folder.mkdir(exist_ok=True)
    for digit in range(10):
        index = int(np.flatnonzero(labels == digit)[0])
        np.save(folder / f"{digit}.npy", images[index : index + 1])


def main() -> None:
    """Train, measure on the held-out images, write the model and the samples."""
    images, labels, test_images, test_labels = split()
    parameters = train(images, labels)
    accuracy = float((predict(parameters, test_images) == test_labels).mean())
    print(f"accuracy on {HELD_OUT} held-out images: {accuracy:.2%}")
    onnx.save(export(parameters, accuracy), FOLDER / "digits.onnx")
    save_samples(test_images, test_labels)


if __name__ == "__main__":
    main()
