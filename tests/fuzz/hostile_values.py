"""Values that no honest writer puts into an annotation file, and how a mutation is told."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from hypothesis import strategies as st

NUMBERS = [
    *(
        0,
        1,
        -1,
        2,
        0.5,
        -0.5,
        1.5,
        1e-9,
        1e-300,
        -0.0,
        64,
        100_000,
        1e10,
        1e38,
        1e39,
        1e308,
        -1e308,
    ),
    *(2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400),
    *(float("nan"), float("inf"), float("-inf"), True, False),
]
TEXTS = [
    *("", " ", "0", "1", "007", "1e9", "nan", "x", "None", "größe 大 🐕", "e\u0301", "\u202etxt"),
    *("[/b] x", "[dog]", "[red]", "$\\frac$", "${seed}", "%s {} {0}", "<b>&amp;</b>", "a,b=c;d"),
    *("a\nb", "a\x00b", "\x1b[31m", "\ud800", "\ufeff", "a\u2028b", "x" * 300),
    *(".", "..", "/", "../x.jpg", "/etc/passwd", "a/b", "a\\b", "CON", ".hidden"),
]
NESTED = [None, [], {}, [[]], [{}], [None], {"a": 1}, [1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], "[1, 2]"]

numbers = st.sampled_from(NUMBERS) | st.floats() | st.integers(-(2**70), 2**70)
texts = st.sampled_from(TEXTS) | st.text(max_size=8)
values = st.one_of(numbers, texts, st.sampled_from(NESTED))


class Mutation(NamedTuple):
    """One change of a data set or a file: a named function and the values it was drawn with."""

    function: Callable[..., None]
    drawn: dict[str, Any]

    def __call__(self, target: Any) -> None:
        self.function(target, **self.drawn)

    def __repr__(self) -> str:
        drawn = ", ".join(f"{name}={value!r}" for name, value in self.drawn.items())
        return f"{self.function.__name__}({drawn})"


def mutation(function: Callable[..., None], **drawn: st.SearchStrategy) -> st.SearchStrategy:
    """Draw the arguments of a mutation, which follow the target that it changes."""
    return st.fixed_dictionaries(drawn).map(partial(Mutation, function))


def some(mutations: list[st.SearchStrategy], most: int = 4) -> st.SearchStrategy:
    """Draw one to `most` of them."""
    return st.lists(st.one_of(mutations), min_size=1, max_size=most)
