"""How often images with rare classes are repeated in an epoch.

Repeat-factor sampling of LVIS (arXiv 1908.03195, appendix B.2): a class in a share f of the images
has the factor max(1, sqrt(t / f)), and an image has the largest factor of its classes.
"""

from __future__ import annotations

import numpy as np

from yolov9_lit.data.annotations import Annotations


def class_factors(annotations: Annotations, threshold: float) -> np.ndarray:
    """Return the factor (C,) of each class, 1 of those that have no object.

    Args:
        annotations: of the training; crowds do not count, as they are not trained on.
        threshold: t, the share of images from which on a class is not rare.
    """
    _, labels = _present(annotations)
    share = np.bincount(labels, minlength=annotations.num_classes) / max(len(annotations), 1)
    return np.sqrt(np.maximum(threshold / np.where(share > 0, share, 1), 1))


def image_factors(annotations: Annotations, of_class: np.ndarray) -> np.ndarray:
    """Return the factor (N,) of each image, 1 of those without objects.

    Args:
        annotations: of the training.
        of_class: (C,) factors, see `class_factors`.
    """
    images, labels = _present(annotations)
    factors = np.ones(len(annotations))
    np.maximum.at(factors, images, of_class[labels])
    return factors


def repeats(factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how often (N,) each image comes: its factor rounded down or up, that on average.

    The number of all is the same in each draw (systematic sampling), `epoch_length` of the factors;
    each image comes at least once.

    Args:
        factors: (N,) of at least 1.
        rng: of the draw.
    """
    order = rng.permutation(len(factors))
    length = epoch_length(factors)
    ends = np.cumsum(factors[order]) * (length / factors.sum())
    ends[-1] = length
    found = np.empty(len(factors), dtype=np.int64)
    found[order] = np.diff(np.floor(ends + rng.random()).astype(np.int64), prepend=0)
    return found


def epoch_length(factors: np.ndarray) -> int:
    """Return the number of images of an epoch, repeats counted."""
    return int(np.ceil(factors.sum() - 1e-6))  # All factors of 1 are N, however they are summed.


def _present(annotations: Annotations) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of an image and a class (K,), (K,) that it has objects of, each once."""
    image = np.repeat(np.arange(len(annotations)), np.diff(annotations.offsets))
    classes = max(annotations.num_classes, 1)
    pairs = np.unique((image * classes + annotations.labels)[~annotations.crowd])
    return pairs // classes, pairs % classes
