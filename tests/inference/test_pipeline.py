"""Stages beside each other give what they would give one after another, and end."""

import itertools
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, strategies as st

from yolov9_lit.inference.pipeline import ahead


class Counted:
    """Numbers that know how many were made and not yet taken, and the most of these."""

    def __init__(self, count):
        self.count, self.made, self.taken, self.most = count, 0, 0, 0

    def __iter__(self):
        for number in range(self.count):
            self.made += 1
            self.most = max(self.most, self.made - self.taken)
            yield number


@given(count=st.integers(0, 30), most=st.integers(1, 5), stages=st.integers(1, 3))
def test_the_order_is_kept_and_no_more_than_the_bound_is_held(count, most, stages):
    numbers = Counted(count)
    chain = numbers
    for _ in range(stages):
        chain = ahead(chain, most)
    for expected, number in enumerate(chain):
        numbers.taken += 1
        assert number == expected
    assert numbers.taken == count
    # A stage takes an item before it is asked for the next: one more for who consumes.
    assert numbers.most <= stages * most + 1


def test_stages_work_at_the_same_time():
    def slow(items):
        for item in items:
            time.sleep(0.02)
            yield item

    started = time.perf_counter()
    assert list(slow(ahead(slow(ahead(slow(range(10)), 2)), 2))) == list(range(10))
    assert time.perf_counter() - started < 0.45, "one after another they take 0.6 s"


def test_an_error_comes_where_its_item_would_have():
    def failing():
        yield 1
        yield 2
        raise ValueError("the third")

    chain = ahead(ahead(failing(), 4), 4)
    assert [next(chain), next(chain)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(chain)


def test_who_stops_early_leaves_no_thread():
    before = set(threading.enumerate())
    first = ahead(itertools.count(), 3)
    with closing(first), closing(ahead(first, 3)) as chain:
        assert [next(chain) for _ in range(5)] == list(range(5))
    assert set(threading.enumerate()) <= before
