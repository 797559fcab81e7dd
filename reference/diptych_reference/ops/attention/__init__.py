"""Attention: scaled dot products with masks and caches, with modifier graphs, linear recurrences, rotary embeddings."""

from diptych_reference.ops.attention import dot_product, flex, linear, rotary

__all__ = ["dot_product", "flex", "linear", "rotary"]
