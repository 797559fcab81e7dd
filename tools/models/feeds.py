"""Inputs of the models, made from random numbers: each function returns one that makes feeds with a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

Feeds = dict[str, np.ndarray[Any, Any]]
MakeFeeds = Callable[[np.random.Generator], Feeds]


def images(name: str, *shape: int, low: float = -1.0, high: float = 1.0) -> MakeFeeds:
    """Feeds of one float32 tensor, uniform in [low, high)."""
    return partial(_images, name, shape, low, high)


def _images(name: str, shape: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> Feeds:
    return {name: rng.uniform(low, high, shape).astype(np.float32)}


def normals(**shapes: tuple[int, ...]) -> MakeFeeds:
    """Feeds of float32 tensors, each of independent standard normals."""
    return lambda rng: {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def tokens(vocabulary: int, **shapes: tuple[int, ...]) -> MakeFeeds:
    """Feeds of int64 tensors with indices into a vocabulary."""
    return lambda rng: {name: rng.integers(0, vocabulary, shape) for name, shape in shapes.items()}


def sentences(vocabulary: int, batch: int, length: int) -> MakeFeeds:
    """Feeds of BERT's encoders: pairs of sentences, the last of them shorter."""
    return partial(_sentences, vocabulary, (batch, length))


def _sentences(vocabulary: int, shape: tuple[int, int], rng: np.random.Generator) -> Feeds:
    mask = np.ones(shape, np.int64)
    mask[-1, shape[1] * 3 // 4 :] = 0
    types = (np.arange(shape[1]) >= shape[1] // 2).astype(np.int64) * np.ones(shape, np.int64)
    return {"input_ids": rng.integers(0, vocabulary, shape), "attention_mask": mask, "token_type_ids": types}


def ones(**shapes: tuple[int, ...]) -> MakeFeeds:
    """Feeds of int64 tensors of ones: masks that leave everything in."""
    return lambda rng: {name: np.ones(shape, np.int64) for name, shape in shapes.items()}


def together(*makers: MakeFeeds) -> MakeFeeds:
    """The feeds of all of `makers`."""
    return lambda rng: {name: value for make in makers for name, value in make(rng).items()}


def cached(
    layers: int, heads: int, size: int, past: int, vocabulary: int, tokens: int = 1, batch: int = 1
) -> MakeFeeds:
    """What a decoder with a cache of `past` positions meets. The last row of a batch is padded in front."""
    shapes = {f"past.{i}.{kind}": (batch, heads, past, size) for i in range(layers) for kind in ("key", "value")}
    return partial(_cached, shapes, (batch, tokens), past, vocabulary)


def _cached(
    shapes: Mapping[str, tuple[int, ...]], shape: tuple[int, int], past: int, vocabulary: int, rng: np.random.Generator
) -> Feeds:
    batch, tokens = shape
    mask = np.ones((batch, past + tokens), np.int64)
    mask[batch - 1 if batch > 1 else batch :, : past // 2] = 0
    places = np.maximum(mask.cumsum(axis=1) - 1, 0)[:, past:]
    ids = {"input_ids": rng.integers(0, vocabulary, shape), "position_ids": places, "attention_mask": mask}
    return {**normals(**shapes)(rng), **ids}


def phonemes(count: int) -> MakeFeeds:
    """A text of `count` phonemes for a voice; noise is multiplied by 0, so that every engine says the same."""
    scales = {"scales": np.array([0, 1, 0], np.float32), "input_lengths": np.array([count])}
    return lambda rng: {"input": rng.integers(1, 100, (1, count)), **scales}


def file_bytes(count: int) -> MakeFeeds:
    """What magika makes of `count` files: 1024 bytes of the beginning and of the end; 256 stands for none."""
    return lambda rng: {"bytes": rng.integers(0, 257, (count, 2048)).astype(np.int32)}


def protein(atoms: int, residues: int, edges: int) -> MakeFeeds:
    """A random graph of atoms, with the indices that the network's tables hold."""
    return partial(_protein, atoms, residues, edges)


def _protein(atoms: int, residues: int, edges: int, rng: np.random.Generator) -> Feeds:
    def integers(high: int, *shape: int) -> np.ndarray[Any, Any]:
        return rng.integers(0, high, shape)

    def reals(*shape: int) -> np.ndarray[Any, Any]:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "element": integers(4, atoms),
        "amino_acid": integers(20, atoms),
        "atom_role": integers(8, atoms),
        "bfactor": reals(atoms),
        "edge_index": integers(atoms, 2, edges),
        "edge_dist": rng.uniform(1, 8, edges).astype(np.float32),
        "seq_sep": integers(16, edges),
        "same_residue": rng.integers(0, 2, edges).astype(np.float32),
        "target_indices": integers(atoms, residues, 6),
        "target_mask": rng.integers(0, 2, (residues, 6)).astype(bool),
        "residue_types": integers(20, residues),
        "residue_geometry": reals(residues, 52),
        "target_environment": reals(residues, 6, 15),
        "temperature_feature": reals(residues, 1),
        "target_atom_rsasa": rng.uniform(0, 1, (residues, 6)).astype(np.float32),
        "pos": (8 * reals(atoms, 3)).astype(np.float32),
        "node_normal": reals(atoms, 3),
        "is_hbond": rng.integers(0, 2, edges).astype(np.float32),
        "hb_cos": rng.uniform(-1, 1, edges).astype(np.float32),
    }
