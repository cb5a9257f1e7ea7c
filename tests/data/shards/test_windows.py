"""The sampler of shards: every image once an epoch, equal ranks, few shards at a time."""

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from yolov9_lit.data.samplers import TrainSampler
from yolov9_lit.data.shards.windows import WindowSampler


def firsts(counts):
    return np.concatenate([[0], np.cumsum(counts)])


def windowed(counts, window, seed):
    return lambda rank, world: WindowSampler(
        firsts(counts), window, seed, rank=rank, world_size=world
    )


def plain(counts, window, seed):
    return lambda rank, world: TrainSampler(sum(counts), seed, rank=rank, world_size=world)


CASES = {
    "counts": st.lists(st.integers(1, 20), min_size=1, max_size=12),
    "window": st.integers(1, 5),
    "seed": st.integers(0, 3),
    "world": st.integers(1, 7),
    "epoch": st.integers(0, 3),
}


@pytest.mark.parametrize("make", [windowed, plain])
@settings(max_examples=200, deadline=None)
@given(**CASES)
def test_every_image_once_an_epoch(make, counts, window, seed, world, epoch):
    total, seen = sum(counts), Counter()
    for rank in range(world):
        sampler = make(counts, window, seed)(rank, world)
        sampler.set_epoch(epoch)
        share = [key.image for key in sampler]
        assert len(share) == len(sampler) == math.ceil(total / world)
        if total >= world:
            assert len(set(share)) == len(share)
        seen.update(share)
    assert set(seen) == set(range(total))
    assert sum(seen.values()) - total < world


@pytest.mark.parametrize("make", [windowed, plain])
@settings(max_examples=100, deadline=None)
@given(skipped=st.integers(0, 300), **CASES)
def test_a_skip_leaves_out_the_first_once(make, counts, window, seed, world, epoch, skipped):
    sampler = make(counts, window, seed)(world - 1, world)
    sampler.set_epoch(epoch)
    whole = [key.image for key in sampler]
    sampler.skip(skipped)
    assert [key.image for key in sampler] == whole[skipped:]
    assert [key.image for key in sampler] == whole


@settings(max_examples=100, deadline=None)
@given(**CASES)
def test_reads_stay_in_a_window(counts, window, seed, world, epoch):
    """Once a rank leaves a window it does not come back, and each is announced beforehand."""
    announced = []
    sampler = WindowSampler(
        firsts(counts), window, seed, rank=world - 1, world_size=world, announce=announced.append
    )
    sampler.set_epoch(epoch)
    shard_of = np.repeat(np.arange(len(counts)), counts)
    windows = []
    for key in sampler:
        shards = {int(shard_of[key.partners[i]]) for i in range(len(key.partners))}
        assert key.image in set(map(key.partners.__getitem__, range(len(key.partners))))
        if not windows or shards != windows[-1]:
            assert not windows or set(announced[len(windows) - 1]) == shards
            windows.append(shards)
    assert max(map(len, windows)) <= window
    assert sum(map(len, windows)) == len(set().union(*windows)), "no shard in two windows"
    assert len(announced) == len(windows) - 1


def test_epochs_and_seeds_shuffle_anew():
    sampler = WindowSampler(firsts([10] * 12), 3, 0)
    first = [key.image for key in sampler]
    sampler.set_epoch(1)
    second = [key.image for key in sampler]
    other = [key.image for key in WindowSampler(firsts([10] * 12), 3, 1)]
    assert len({tuple(order) for order in (first, second, other)}) == 3
    jumps = np.abs(np.diff(first))
    assert np.mean(jumps == 1) < 0.25, "images of a shard do not follow each other"


def test_the_ranks_read_their_own_shards():
    """Of 24 equal shards over 4 ranks each reads 6."""
    shard_of = np.repeat(np.arange(24), 5)
    for rank in range(4):
        sampler = WindowSampler(firsts([5] * 24), 4, 0, rank=rank, world_size=4)
        assert len({shard_of[key.image] for key in sampler}) == 6


def test_memory_is_that_of_a_window():
    peaks = []
    for shards in (100, 10_000):
        bounds = firsts([1000] * shards)
        tracemalloc.start()
        keys = iter(WindowSampler(bounds, 8, 0))
        for _ in range(10_000):
            next(keys)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What grows is a little for each shard, nothing for each of its thousand images.
    assert peaks[1] - peaks[0] < 10_000 * 1000, peaks
