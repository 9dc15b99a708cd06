"""What an interaction network reads besides the features: each item times the interest that speaks for it.

    product_c = v_k * e_c, element by element        k = argmax_k v_k.e_c / temperature + log share_k

Its elements add up to the inner product, so a network over them can weigh the dimensions of the space (He et al. 2017).
"""

from __future__ import annotations

from unbraid_core.types import DoubleArray, FloatArray, Interests

__all__ = ["product_names", "speaker_products"]


def product_names(dimension: int) -> tuple[str, ...]:
    """The names of the D columns."""
    return tuple(f"product_{position}" for position in range(dimension))


def speaker_products(interests: Interests, affinity_CK: DoubleArray, vectors_CD: FloatArray) -> FloatArray:
    """The element-wise product of every candidate with the interest that speaks for it: float32 [C, D].

    Args:
        interests: of the query.
        affinity_CK: inner product of every candidate and interest over the temperature.
        vectors_CD: unit vectors of the candidates.
    """
    speaker_C = (affinity_CK + interests.log_share_K).argmax(axis=1)
    product_CD: FloatArray = vectors_CD * interests.vectors_KD[speaker_C]
    return product_CD
