"""What a linear readout finds in features, in closed form: ridge regression and effective rank."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PENALTIES = 10.0 ** np.arange(-7, 4)
"""Of ridge regression, as multiples of the mean variance of a feature."""

NOISE = 1e-6
"""Deviation, relative to the values themselves, below which float32 features are constant."""


class Split(NamedTuple):
    """Which samples serve for what; all cells of an image are in the same part.

    Attributes:
        fit: (N,) bool, to fit the coefficients.
        choose: (N,) bool, to choose the penalty.
        test: (N,) bool, to tell the result.
    """

    fit: np.ndarray
    choose: np.ndarray
    test: np.ndarray


def split_images(images: int, cells: int) -> Split:
    """Use every second image to fit, of the others every second one to choose and to test.

    Args:
        images: number of images, at least 4.
        cells: samples of each.
    """
    turn = np.repeat(np.arange(images) % 4, cells)
    return Split((turn == 0) | (turn == 2), turn == 1, turn == 3)


def explained_variance(features: np.ndarray, targets: np.ndarray, split: Split) -> float:
    """Return the share of the targets' variance that ridge regression explains, on test samples.

    The variance is that about the mean of the fitted samples, over all target dimensions together:
    1 is everything, 0 what a constant explains; less than 0 is worse than that mean.

    Args:
        features: (N, D).
        targets: (N, K).
        split: of the samples.
    """
    predictions = _ridge(features, targets, split, np.ones(len(targets)))
    scores = [_explained(p, targets, split.choose, split.fit) for p in predictions]
    best = predictions[int(np.argmax(scores))]
    return _explained(best, targets, split.test, split.fit)


def balanced_accuracy(features: np.ndarray, labels: np.ndarray, split: Split) -> float:
    """Return the mean recall of the classes, on test samples, of ridge regression on their labels.

    Samples weigh so that each class weighs the same. Chance is one by the number of classes.

    Args:
        features: (N, D).
        labels: (N,) int; each class must have samples in each part.
        split: of the samples.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(codes[split.fit], minlength=len(classes))
    predictions = _ridge(features, np.eye(len(classes))[codes], split, 1.0 / counts[codes])
    scores = [_mean_recall(p, codes, split.choose) for p in predictions]
    best = predictions[int(np.argmax(scores))]
    return _mean_recall(best, codes, split.test)


def covered_precision(features: np.ndarray, covered: np.ndarray, split: Split) -> float:
    """Return the average precision of ridge regression on whether samples are covered.

    The test samples are ranked by what is predicted of them; those that are alike count as one
    step. Chance is the share of covered ones. Covered and uncovered samples weigh the same.

    Args:
        features: (N, D).
        covered: (N,) bool; each part must have both.
        split: of the samples.
    """
    share = covered[split.fit].mean()
    weights = np.where(covered, 1 / share, 1 / (1 - share))
    predictions = [p[:, 0] for p in _ridge(features, covered[:, None] * 1.0, split, weights)]
    scores = [average_precision(p[split.choose], covered[split.choose]) for p in predictions]
    best = predictions[int(np.argmax(scores))]
    return average_precision(best[split.test], covered[split.test])


def average_precision(scores: np.ndarray, hits: np.ndarray) -> float:
    """Return the mean, over the hits, of the precision among all that score no less.

    Args:
        scores: (N,).
        hits: (N,) bool, one at least.
    """
    values, ranks = np.unique(-scores, return_inverse=True)
    right = np.bincount(ranks, weights=hits, minlength=len(values))
    precision = right.cumsum() / np.bincount(ranks, minlength=len(values)).cumsum()
    return float((precision * right).sum() / right.sum())


def effective_rank(features: np.ndarray) -> float:
    """Return exp of the entropy of the normalised singular values (Roy & Vetterli 2007).

    Args:
        features: (N, D); their mean is taken off. 0 where they are constant.
    """
    centred = features - features.mean(axis=0)
    if _constant(centred, features):
        return 0.0
    values = np.sqrt(np.linalg.eigvalsh(centred.T @ centred).clip(min=0.0))
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _ridge(
    features: np.ndarray, targets: np.ndarray, split: Split, weights: np.ndarray
) -> list[np.ndarray]:
    """Return the predictions for all samples, (N, K), with each of the penalties."""
    share = weights[split.fit, None] / weights[split.fit].sum()
    x_mean, y_mean = (share * features[split.fit]).sum(0), (share * targets[split.fit]).sum(0)
    x, y = features - x_mean, targets - y_mean
    if _constant(x[split.fit], features[split.fit]):
        return [np.broadcast_to(y_mean, targets.shape)]
    values, vectors = np.linalg.eigh((share * x[split.fit]).T @ x[split.fit])
    values = values.clip(min=0.0)
    along = vectors.T @ ((share * x[split.fit]).T @ y[split.fit])
    inside = x @ vectors
    scale = values.mean()
    return [inside @ (along / (values + p * scale)[:, None]) + y_mean for p in PENALTIES]


def _constant(centred: np.ndarray, features: np.ndarray) -> bool:
    return bool(np.square(centred).mean() <= NOISE**2 * np.square(features).mean())


def _explained(
    predicted: np.ndarray, targets: np.ndarray, part: np.ndarray, fit: np.ndarray
) -> float:
    missed = np.square(targets[part] - predicted[part]).sum()
    return float(1 - missed / np.square(targets[part] - targets[fit].mean(axis=0)).sum())


def _mean_recall(predicted: np.ndarray, codes: np.ndarray, part: np.ndarray) -> float:
    hit = predicted[part].argmax(axis=1) == codes[part]
    return float(np.mean([hit[codes[part] == c].mean() for c in range(predicted.shape[1])]))
