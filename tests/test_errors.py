"""What a traceback says in one line."""

import traceback

import pytest
from torch.utils.data import DataLoader, Dataset

from yolov9_lit.errors import UserError, counted, error_line, told


def raising(error):
    try:
        raise error
    except type(error):
        return traceback.format_exc()


def syntax_error():
    try:
        compile("a b", "file", "exec")
    except SyntaxError:
        return traceback.format_exc()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, ""),
        ("", ""),
        ("data.root=x is not there: check it.", "data.root=x is not there: check it."),
        (raising(UserError("x is wrong: mend it.")), "x is wrong: mend it."),
        (
            raising(ValueError("first\n  second\nfull_key: model")),
            "ValueError: first second full_key: model",
        ),
        (raising(KeyError()), "KeyError"),
        (syntax_error(), "SyntaxError: invalid syntax"),
        ("Traceback (most recent call last):", ""),
    ],
)
def test_errors_are_one_line(text, line):
    assert error_line(text) == line


def test_endless_errors_are_cut():
    assert len(error_line(raising(ValueError("word " * 10_000)))) <= 500


def test_a_count_has_its_noun_in_the_form_that_fits():
    counts = [(0, "image"), (1, "box"), (2, "box"), (1, "class"), (2, "class"), (1500, "image")]
    words = ["0 images", "1 box", "2 boxes", "1 class", "2 classes", "1,500 images"]
    assert [counted(*count) for count in counts] == words


def test_a_sentence_of_many_becomes_one_of_a_single_item():
    sentences = {
        "images are missing and left out": "image is missing and left out",
        "label files lie outside their folder": "label file lies outside its folder",
        "boxes have no area": "box has no area",
        "categories repeat an id: they are left out": "category repeats an id: it is left out",
        "image entries share an id, as others": "image entry shares an id, as others",
        "images are skipped: each has too many pixels": "image is skipped: it has too many pixels",
    }
    for many, single in sentences.items():
        assert told(1, many) == f"1 {single}"
        assert told(0, many) == f"0 {many}"
        assert told(2000, many) == f"2,000 {many}"


class Refusing(Dataset):
    """Finds its data wrong, like one that is read in a worker."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserError("x is wrong: mend it.", "a list's item") from ValueError("why")


def test_an_error_of_a_worker_is_the_sentence_that_was_raised():
    with pytest.raises(UserError) as caught:
        list(DataLoader(Refusing(), num_workers=1))
    assert str(caught.value) == "x is wrong: mend it.\n  a list's item"
