"""The probes on features of which it is known what they hold."""

import numpy as np
import pytest

from yolov9_lit.research.probes.readout import (
    average_precision,
    balanced_accuracy,
    covered_precision,
    effective_rank,
    explained_variance,
    split_images,
)

RNG = np.random.default_rng(0)
SPLIT = split_images(400, 10)


def test_the_parts_of_a_split_share_no_image():
    parts = np.stack(SPLIT).reshape(3, 400, 10)
    assert (parts.sum(axis=0) == 1).all()
    assert (parts == parts[:, :, :1]).all()
    assert parts[:, :, 0].sum(axis=1).tolist() == [200, 100, 100]


def test_the_targets_themselves_explain_all():
    targets = RNG.normal(size=(4000, 12)) * np.arange(1, 13)
    assert explained_variance(targets, targets, SPLIT) == pytest.approx(1, abs=1e-6)
    turned = targets @ RNG.normal(size=(12, 12)) + 5
    assert explained_variance(turned, targets, SPLIT) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_explains_nothing(value):
    targets = RNG.normal(size=(4000, 3))
    features = np.full((4000, 5), value)
    fit, test = targets[SPLIT.fit].mean(0), targets[SPLIT.test]
    assert explained_variance(features, targets, SPLIT) == pytest.approx(0, abs=1e-12)
    assert np.square(test - fit).sum() > 0
    assert balanced_accuracy(features, np.arange(4000) % 4, SPLIT) == pytest.approx(1 / 4)
    assert effective_rank(features) == 0


def test_what_float32_rounds_away_is_not_read():
    targets = RNG.normal(size=(4000, 3))
    assert explained_variance(1 + 1e-8 * targets, targets, SPLIT) == pytest.approx(0, abs=1e-12)
    assert explained_variance(1 + 1e-3 * targets, targets, SPLIT) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kept", [4, 10, 16])
def test_a_random_projection_of_white_noise_explains_its_share(kept):
    targets = RNG.normal(size=(4000, 20))
    features = targets @ RNG.normal(size=(20, kept))
    assert explained_variance(features, targets, SPLIT) == pytest.approx(kept / 20, abs=0.02)


def test_noise_explains_nothing_and_is_not_rewarded():
    targets = RNG.normal(size=(4000, 3))
    assert explained_variance(RNG.normal(size=(4000, 200)), targets, SPLIT) == pytest.approx(
        0, abs=0.01
    )


def test_classes_are_told_apart_as_far_as_the_features_do():
    labels = RNG.choice([-1, 3, 8], size=4000, p=[0.9, 0.07, 0.03])
    exact = np.stack([labels == 3, labels == 8], axis=1).astype(float)
    assert balanced_accuracy(exact, labels, SPLIT) == 1
    half = exact[:, :1]  # 3 is known from the others, -1 and 8 are one
    assert balanced_accuracy(half, labels, SPLIT) == pytest.approx(2 / 3)
    noise = RNG.normal(size=(4000, 5))
    assert balanced_accuracy(noise, labels, SPLIT) == pytest.approx(1 / 3, abs=0.08)


def test_average_precision_is_that_of_every_hit_with_all_that_score_no_less():
    scores = RNG.integers(0, 20, size=200) / 7
    hits = RNG.random(200) < 0.3
    expected = np.mean([hits[scores >= score].mean() for score in scores[hits]])
    assert average_precision(scores, hits) == pytest.approx(expected)
    assert average_precision(np.zeros(200), hits) == pytest.approx(hits.mean())
    assert average_precision(hits * 1.0, hits) == 1


def test_covered_samples_are_ranked_as_far_as_the_features_do():
    covered = RNG.random(4000) < 0.2
    chance = covered[SPLIT.test].mean()
    exact = covered[:, None] + 0.0
    assert covered_precision(exact, covered, SPLIT) == 1
    assert covered_precision(np.ones((4000, 3)), covered, SPLIT) == pytest.approx(chance)
    noise = RNG.normal(size=(4000, 5))
    assert covered_precision(noise, covered, SPLIT) == pytest.approx(chance, abs=0.05)
    # A feature that half of the covered samples share with no other ranks these first.
    half = exact * (RNG.random((4000, 1)) < 0.5)
    found = half[SPLIT.test, 0][covered[SPLIT.test]].mean()
    precision = found + (1 - found) * chance
    assert covered_precision(half, covered, SPLIT) == pytest.approx(precision, abs=1e-9)


def test_the_effective_rank_counts_the_directions_of_a_round_cloud():
    cloud = np.linalg.qr(RNG.normal(size=(500, 7)) - 0)[0]
    cloud -= cloud.mean(axis=0)
    cloud = np.linalg.qr(cloud)[0] @ np.linalg.qr(RNG.normal(size=(30, 7)))[0].T
    assert effective_rank(cloud + 4) == pytest.approx(7)
    shares = np.array([3, 1]) / 4
    two = np.linalg.qr(RNG.normal(size=(500, 2)))[0]
    two = np.linalg.qr(two - two.mean(axis=0))[0] * [3, 1]
    assert effective_rank(two) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
