"""Sentences for users: a line each, whatever stands in a name."""

from yolov9_lit.errors import UserError, first_few


def test_nothing_in_a_sentence_breaks_its_line_or_moves_the_cursor():
    assert str(UserError("größe 大.jpg is missing")) == "größe 大.jpg is missing"
    assert str(UserError("a\nb\x1b[31m\u2028 is missing")) == r"a\nb\x1b[31m\u2028 is missing"
    assert str(UserError("2 faults:", "a\nb", "c")) == "2 faults:\n  a\\nb\n  c"


def test_names_that_are_listed_stay_in_their_line():
    assert first_few(["a\tb", "c", "d", "e"]) == r"a\tb, c, d, ..."
