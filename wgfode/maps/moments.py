"""The Gram matrix of two Khatri–Rao blocks, E[(BᵀB') ⊗ (φφ'ᵀ)], as a product of two tables over the points.

It takes N m² multiplications or fewer, where rows of J take N d m².
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import like
from .blocks import Block

Array = Any


def moments(xp: Any, one: Block, other: Block, weights: Array) -> Array:
    """Σ_n weights_n (B_n ⊗ φ_n)ᵀ(B'_n ⊗ φ'_n), (a f, a' f')."""
    (a, f), (a_, f_) = one.shape, other.shape
    inner = _inner(xp, one, other)
    if one.constant and other.constant:
        means = (weights[:, None] * one.features).T @ other.features
        return (inner[:, None, :, None] * means[None, :, None, :]).reshape((a * f, a_ * f_))
    if _constant_outputs(one, other) and _columns(one) * _columns(other) <= _tables(one, other):
        means = _scaled(one, weights[:, None] * one.features).T @ _scaled(other, other.features)
        means = means.reshape((a if one.scale is not None else 1, f, a_ if other.scale is not None else 1, f_))
        return (inner[:, None, :, None] * means).reshape((a * f, a_ * f_))
    outputs = inner  # BᵀB', (N, a, a')
    if one.scale is not None:
        outputs = outputs * one.scale[:, :, None]
    if other.scale is not None:
        outputs = outputs * other.scale[:, None, :]
    outputs, spread_outputs = _table(xp, outputs, symmetric=one is other)
    features = (weights[:, None] * one.features)[:, :, None] * other.features[:, None, :]
    features, spread_features = _table(xp, features, symmetric=one.features is other.features)
    means = (outputs.T @ features)[spread_outputs][:, spread_features]
    return xp.permute_dims(means.reshape((a, a_, f, f_)), (0, 2, 1, 3)).reshape((a * f, a_ * f_))


def gram_factors(xp: Any, block: Block, weights: Array) -> tuple[Array, Array]:
    """BᵀB (a, a) and Σ_n weights_n φ_nφ_nᵀ (f, f) of a block whose B is the same at all points."""
    return _inner(xp, block, block), (weights[:, None] * block.features).T @ block.features


def products(one: Block, other: Block) -> int:
    """Multiplications a point in `moments`."""
    if one.constant and other.constant:
        return one.shape[1] * other.shape[1]
    tables = _tables(one, other)
    return min(tables, _columns(one) * _columns(other)) if _constant_outputs(one, other) else tables


def _table(xp: Any, values: Array, *, symmetric: bool) -> tuple[Array, Any]:
    """`values` (N, p, q) as columns, and where each of the p q entries is found among them."""
    n, p, q = values.shape
    if not symmetric:
        return values.reshape((n, p * q)), slice(None)
    row, column = np.triu_indices(p)
    place = np.zeros((p, p), int)
    place[row, column] = place[column, row] = np.arange(len(row))
    return values.reshape((n, p * p))[:, row * p + column], place.reshape(-1)


def _inner(xp: Any, one: Block, other: Block) -> Array:
    """matrixᵀ matrix', (a, a'), or (N, a, a') where one of them depends on the point."""
    left, right = one.matrix, other.matrix
    if left is None:
        return like(np.eye(one.width), one.features) if right is None else right
    if right is None:
        return xp.permute_dims(left, (*range(left.ndim - 2), left.ndim - 1, left.ndim - 2))
    names = {2: "d", 3: "nd"}
    result = "ab" if left.ndim == right.ndim == 2 else "nab"
    return xp.einsum(f"{names[left.ndim]}a,{names[right.ndim]}b->{result}", left, right)


def _constant_outputs(one: Block, other: Block) -> bool:
    """Whether matrixᵀ matrix' is the same at all points."""
    return all(block.matrix is None or block.matrix.ndim == 2 for block in (one, other))


def _scaled(block: Block, features: Array) -> Array:
    """scale ⊗ features, (N, a f), or the features (N, f) of a block without scale."""
    if block.scale is None:
        return features
    return (block.scale[:, :, None] * features[:, None, :]).reshape((len(features), -1))


def _columns(block: Block) -> int:
    """The columns of `_scaled`."""
    return block.shape[1] if block.scale is None else block.shape[0] * block.shape[1]


def _tables(one: Block, other: Block) -> int:
    """The product of the lengths of the two tables' rows."""
    (a, f), (a_, f_) = one.shape, other.shape
    outputs = a * (a + 1) // 2 if one is other else a * a_
    features = f * (f + 1) // 2 if one.features is other.features else f * f_
    return outputs * features
