"""The Fréchet distance between two sets of features (Heusel et al. 2017), exact and in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg


def frechet_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of the Gaussians fitted to features [n, d] and [m, d].

    Covariances are the unbiased ones, as in pytorch-fid. Raises ValueError for fewer than two samples,
    unequal dimensions or values that are not finite.
    """
    first, second = _checked(first), _checked(second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"features of {first.shape[1]} and of {second.shape[1]} dimensions")
    offset = first.mean(0) - second.mean(0)
    # with Σ = XᵀX, the trace of (Σ₁Σ₂)^½ is the sum of the singular values of X₁X₂ᵀ
    a, b = _centred(first), _centred(second)
    if min(len(a), len(b)) <= a.shape[1]:
        cross = linalg.svdvals(a @ b.T, overwrite_a=True, check_finite=False).sum()
    else:
        cross = _trace_of_root(a.T @ a, b.T @ b)
    distance = offset @ offset + np.square(a).sum() + np.square(b).sum() - 2 * cross
    return max(float(distance), 0.0)


def _checked(features: NDArray[np.floating]) -> NDArray[np.float64]:
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"a Fréchet distance needs features [N ≥ 2, d], not {list(features.shape)}")
    if not np.isfinite(features).all():
        raise ValueError("features that are not finite")
    return features.astype(np.float64)


def _centred(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """X with XᵀX = Σ."""
    centred: NDArray[np.float64] = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return centred


def _trace_of_root(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """tr (Σ₁Σ₂)^½ = tr (Σ₁^½ Σ₂ Σ₁^½)^½, all symmetric."""
    values, vectors = linalg.eigh(first, overwrite_a=True, check_finite=False)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T  # rounding leaves tiny negative eigenvalues
    inner = root @ second @ root
    return float(np.sqrt(linalg.eigvalsh(inner, overwrite_a=True, check_finite=False).clip(0)).sum())
