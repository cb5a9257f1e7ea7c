"""A sound YOLO data set, and what can be wrong with its data.yaml and its label files."""

from functools import cache
from typing import Any

import yaml
from hostile_files import Files, image, of_images, of_texts
from hostile_values import TEXTS, mutation, texts, values
from hypothesis import strategies as st

SPLITS = ("train", "val")
SIZES = [(40, 30), (24, 32), (64, 48), (8, 8)]
STEMS = [f"{s}/{n:06}" for s in SPLITS for n in range(1, 5 if s == "train" else 3)]
LABELS = [f"labels/{stem}.txt" for stem in STEMS]
IMAGES = [f"images/{stem}.jpg" for stem in STEMS]
CONFIG = "data.yaml"
NUMBERS = [
    *("0", "1", "2", "3", "-1", "0.5", "1.5", "1e-9", "1e9", "1e309", "nan", "inf", "-inf", "-0"),
    *("1_0", "0x1", "\uff11", "0,5", "1.", ".5", "+1", "1e", "--1", "1/2", "True", "9" * 400),
]


@cache
def sound_yolo() -> Files:
    """Four images to train on, two to validate on; the last of each has no label file."""
    content = {s: f"images/{s}" for s in SPLITS} | {"names": ["dog", "cat", "x"]}
    files: Files = {CONFIG: yaml.safe_dump(content).encode()}
    for number, stem in enumerate(STEMS):
        files[f"images/{stem}.jpg"] = image(SIZES[number % 4], seed=number)
        lines = [f"{k} {0.2 + 0.25 * k} {0.3 + 0.2 * k} 0.25 0.3" for k in range(3)]
        if number != 3:
            files[f"labels/{stem}.txt"] = "".join(f"{line}\n" for line in lines).encode()
    return files


def _config(files: Files) -> dict[str, Any]:
    content = files.get(CONFIG)
    try:
        config = yaml.safe_load(content) if isinstance(content, bytes) else None
    except (yaml.YAMLError, ValueError):
        config = None
    return config if isinstance(config, dict) else {}


def _write(files: Files, config: Any) -> None:
    files[CONFIG] = yaml.safe_dump(config, allow_unicode=True).encode("utf-8", "replace")


def set_key(files: Files, key, value):
    _write(files, _config(files) | {key: value})


def remove_key(files: Files, key):
    _write(files, {k: v for k, v in _config(files).items() if k != key})


def set_config(files: Files, value):
    _write(files, value)


def write_config(files: Files, text):
    files[CONFIG] = text.encode("utf-8", "replace")


def list_images(files: Files, split, lines):
    files[f"{split}.txt"] = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    _write(files, _config(files) | {split: f"{split}.txt"})


def _lines(files: Files, file: str) -> list[str]:
    content = files.get(file)
    return content.decode("utf-8", "replace").split("\n") if isinstance(content, bytes) else []


def _set_lines(files: Files, file: str, lines: list[str]) -> None:
    files[file] = "\n".join(lines).encode("utf-8", "replace")


def set_token(files: Files, file, line, position, text):
    lines = _lines(files, file)
    if line < len(lines) and (tokens := lines[line].split()):
        tokens[position % len(tokens)] = text
        lines[line] = " ".join(tokens)
        _set_lines(files, file, lines)


def as_poses(files: Files, shape, points, told):
    """Add the same keypoints to every line, and what data.yaml says of them."""
    _write(files, _config(files) | {"kpt_shape": shape} | told)
    for file in LABELS:
        lines = [f"{line} {' '.join(points)}" if line else "" for line in _lines(files, file)]
        _set_lines(files, file, lines)


def add_line(files: Files, file, tokens):
    _set_lines(files, file, [" ".join(tokens), *_lines(files, file)])


def separate_by(files: Files, file, separator):
    _set_lines(files, file, [line.replace(" ", separator) for line in _lines(files, file)])


def repeat_lines(files: Files, file, times):
    _set_lines(files, file, _lines(files, file) * times)


def in_pixels(files: Files, file, size):
    scaled = []
    for line in _lines(files, file):
        label, *rest = line.split() or [""]
        try:
            scaled.append(" ".join([label, *(str(float(v) * size) for v in rest)]))
        except ValueError:
            scaled.append(line)
    _set_lines(files, file, scaled)


def write_ids(files: Files, content):
    files["ids.json"] = content.encode("utf-8", "replace")


def capital_folders(files: Files):
    for name in [name for name in files if name.startswith(("images/", "labels/"))]:
        files[name.capitalize()] = files.pop(name)


def beside_images(files: Files):
    for name in [name for name in files if name.startswith("labels/")]:
        files[name.replace("labels/", "images/", 1)] = files.pop(name)


def yolo_mutations() -> list[st.SearchStrategy]:
    file, line = st.sampled_from(LABELS), st.integers(0, 3)
    number = st.sampled_from(NUMBERS) | st.floats(-2, 2).map(str) | st.sampled_from(TEXTS)
    parts = ["kpt_names", "flip_idx", "skeleton", "sigmas"]
    keys = st.sampled_from(
        [*SPLITS, "test", "path", "names", "nc", "kpt_shape", "channels", *parts]
    )
    told = st.dictionaries(st.sampled_from(parts), values | st.just([1, 0]), max_size=2)
    points = st.just(["0.3", "0.4", "2", "0.5", "0.6", "1"]) | st.lists(
        number, min_size=6, max_size=6
    )
    places = ["images/train", "../images/val", ".", "images/*", "images/train/000001.jpg", "~"]
    place = st.sampled_from([*places, ["images/train", "images/val"], ["images/train"] * 2])
    names = st.dictionaries(st.integers(-2, 9) | texts, values, max_size=4) | st.lists(values)
    listed = st.lists(st.sampled_from([*IMAGES, *TEXTS, "./images/train/000001.jpg"]), max_size=6)
    ids = ['{"categories": {"dog": 5}, "images": {}}', "[]", '{"categories": 1, "images": 2}']
    ids += ['{"categories": {"dog": 1, "cat": 1}, "images": {}}', '{"categories": {"dog": 1e400}}']
    ids += ['{"categories": {"dog": 9e99, "cat": 2, "x": 3}, "images": {"train": {"a": -1}}}']
    return [
        mutation(set_key, key=keys, value=values.filter(lambda value: value != "/")),
        mutation(set_key, key=st.sampled_from([*SPLITS, "test", "path"]), value=place),
        mutation(set_key, key=st.just("names"), value=names),
        mutation(remove_key, key=keys),
        mutation(set_config, value=values),
        mutation(write_config, text=texts | st.sampled_from(["a: *b", "&a [*a]", "{a", "!!x 1"])),
        mutation(list_images, split=st.sampled_from(SPLITS), lines=listed),
        mutation(set_token, file=file, line=line, position=st.integers(0, 4), text=number),
        mutation(
            as_poses, shape=st.sampled_from([[2, 3], [3, 2], [2, 2]]), points=points, told=told
        ),
        mutation(add_line, file=file, tokens=st.lists(number, max_size=9)),
        mutation(
            separate_by, file=file, separator=st.sampled_from(["\t", ",", "  ", "\u3000", ";"])
        ),
        mutation(repeat_lines, file=file, times=st.sampled_from([2, 20])),
        mutation(in_pixels, file=file, size=st.sampled_from([2, 64, 640])),
        mutation(write_ids, content=st.sampled_from(ids)),
        mutation(capital_folders),
        mutation(beside_images),
        *of_texts([CONFIG, *LABELS]),
        *of_images(IMAGES),
    ]
