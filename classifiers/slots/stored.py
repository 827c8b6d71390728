"""A tagger as an artifact stores it: an entry of the manifest, and tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import ArtifactError
from classifiers.model import Tagger
from classifiers.policy import Policy
from classifiers.slots import tags

WEIGHTS, BIAS = "tagger.weights", "tagger.bias"


def entry(tagger: Tagger) -> dict[str, Any]:
    """What the manifest says of it."""
    return {"slots": list(tagger.slots), "scale": tagger.scale}


def tensors(tagger: Tagger) -> dict[str, NDArray[Any]]:
    """By their names in the file."""
    return {
        WEIGHTS: np.ascontiguousarray(tagger.weights, np.float32),
        BIAS: np.ascontiguousarray(tagger.bias, np.float32),
    }


def read(
    values: Mapping[str, Any] | None, held: Mapping[str, NDArray[Any]], policy: Policy, where: str
) -> Tagger | None:
    """The tagger of a manifest's entry; None without one. where: the artifact's folder, for what is said of it.

    Raises ArtifactError where it does not fit the policy, KeyError or TypeError where parts are missing.
    """
    if values is None:
        if policy.slots:
            raise ArtifactError(f"{where}: its policy has slots, but it holds no tagger; train it again")
        return None
    slots = tuple(map(str, values["slots"]))
    if slots != tuple(policy.slots):
        raise ArtifactError(f"{where}: its tagger's slots are not the policy's")
    weights, bias = held[WEIGHTS], held[BIAS]
    count = tags.count(len(slots))
    if weights.dtype != np.float32 or weights.ndim != 2 or len(weights) != count or bias.shape != (count,):
        raise ArtifactError(f"{where}: {WEIGHTS} and {BIAS} must be float32 and have {count} rows")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ArtifactError(f"{where}: {WEIGHTS} holds numbers that are not finite")
    return Tagger(slots=slots, weights=weights, bias=bias.astype(np.float32), scale=float(values["scale"]))
