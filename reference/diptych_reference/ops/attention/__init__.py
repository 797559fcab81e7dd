"""Attention: scaled dot products with masks and caches, with modifier graphs, linear recurrences, rotary embeddings."""

from diptych_reference.ops.attention import dot_product, flex, group_query, linear, multi_head, projected, rotary

__all__ = ["dot_product", "flex", "group_query", "linear", "multi_head", "projected", "rotary"]
