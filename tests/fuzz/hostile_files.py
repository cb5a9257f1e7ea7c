"""A data set as files by path, and what can happen to any file of it."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hostile_values import mutation
from hypothesis import strategies as st
from PIL import Image


class Link(NamedTuple):
    """A symbolic link to a path of the same set, or out of it."""

    target: str


Files = dict[str, bytes | Link | None]
"""Content by path from the root; None for a folder."""

ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"]
ENDINGS = [".JPG", ".jfif", ".jpe", ".png", ".webp", ".tif", ".gif", ".txt", ".xml", "", ".jpg.jpg"]
MODES = ["L", "LA", "1", "P", "PA", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]
SIDES = [1, 2, 3, 7, 31, 33, 64, 257]


def write(files: Files, root: Path) -> None:
    """Write all that a file system takes; what it refuses (a name too long) is left out."""
    for name, content in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, Link):
                path.symlink_to(content.target)
            else:
                path.write_bytes(content)
        except (OSError, ValueError):
            continue


def read_files(root: Path) -> Files:
    """Read all files of a folder."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def image(size=(40, 30), mode="RGB", kind="JPEG", seed=0, **options):
    """The bytes of an image file; a mode that its kind cannot hold is written as TIFF or PNG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    drawn = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    drawn = (
        drawn.convert("L").convert(mode) if mode in ("I;16", "LA", "PA") else drawn.convert(mode)
    )
    for form in (kind, "TIFF", "PNG"):
        buffer = io.BytesIO()
        try:
            drawn.save(buffer, form, **options)
        except (OSError, ValueError):
            continue
        return buffer.getvalue()
    raise AssertionError(f"no kind of image holds {mode}")


def _bytes(files: Files, file: str) -> bytes:
    content = files.get(file)
    return content if isinstance(content, bytes) else b""


def encode_as(files: Files, file, encoding):
    if file in files:
        text = _bytes(files, file).decode("utf-8", errors="replace")
        files[file] = text.encode(encoding, errors="replace")


def end_lines_with(files: Files, file, ending):
    if file in files:
        files[file] = _bytes(files, file).replace(b"\r", b"").replace(b"\n", ending)


def truncate(files: Files, file, share):
    if content := _bytes(files, file):
        files[file] = content[: int(len(content) * share)]


def overwrite(files: Files, file, share, content):
    if before := _bytes(files, file):
        start = int(len(before) * share)
        files[file] = before[:start] + content + before[start + len(content) :]


def insert(files: Files, file, share, content):
    if before := _bytes(files, file):
        start = int(len(before) * share)
        files[file] = before[:start] + content + before[start:]


def replace_by(files: Files, file, content):
    if file in files:
        files[file] = content


def write_text(files: Files, file, text):
    files[file] = text.encode("utf-8", "replace")


def write_twice(files: Files, file):
    if file in files:
        files[file] = _bytes(files, file) * 2


def remove(files: Files, file):
    files.pop(file, None)


def make_folder(files: Files, file):
    if file in files:
        files[file] = None


def rename(files: Files, file, name):
    if file in files and name.strip("./\x00"):
        files[(Path(file).parent / name.replace("/", "_")).as_posix()] = files.pop(file)


def give_ending(files: Files, file, ending):
    if file in files:
        files[file.rpartition(".")[0] + ending] = files.pop(file)


def link_file(files: Files, file, target):
    if file in files:
        files[file] = Link(target)


def add_image(files: Files, name):
    files.setdefault(name, image())


def add_junk(files: Files, name):
    files.setdefault(name, b"\x00\x05\x16\x07")


def add_link(files: Files, name, target):
    files.setdefault(name, Link(target))


def repaint(files: Files, file, mode, kind):
    if file in files:
        files[file] = image(mode=mode, kind=kind)


def resize(files: Files, file, width, height):
    if file in files:
        files[file] = image((width, height), kind="PNG")


def turn(files: Files, file, orientation):
    if file in files:
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[file] = image(exif=exif)


SHARES = st.floats(0, 1)
JUNK = st.sampled_from([b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\n", b'"', b"{", b"]", b"-", b"9"])


def of_bytes(files: list[str]) -> list[st.SearchStrategy]:
    """Mutations of the bytes of these files, whatever they hold."""
    file = st.sampled_from(files)
    junk = JUNK | st.binary(min_size=1, max_size=8)
    return [
        mutation(truncate, file=file, share=SHARES),
        mutation(overwrite, file=file, share=SHARES, content=junk),
        mutation(insert, file=file, share=SHARES, content=junk),
        mutation(replace_by, file=file, content=st.sampled_from([b"", b" ", b"\x00" * 9, b"null"])),
        mutation(write_twice, file=file),
    ]


def of_texts(files: list[str]) -> list[st.SearchStrategy]:
    """Mutations of text files."""
    file = st.sampled_from(files)
    return [
        mutation(encode_as, file=file, encoding=st.sampled_from(ENCODINGS)),
        mutation(end_lines_with, file=file, ending=st.sampled_from([b"\r\n", b"\r", b"\n\n", b""])),
        *of_bytes(files),
        *of_places(files),
    ]


def of_images(files: list[str]) -> list[st.SearchStrategy]:
    """Mutations of image files."""
    file, side = st.sampled_from(files), st.sampled_from(SIDES)
    kind = st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"])
    return [
        mutation(repaint, file=file, mode=st.sampled_from(MODES), kind=kind),
        mutation(resize, file=file, width=side, height=side),
        mutation(turn, file=file, orientation=st.integers(0, 9)),
        mutation(give_ending, file=file, ending=st.sampled_from(ENDINGS)),
        *of_bytes(files),
        *of_places(files),
    ]


def of_places(files: list[str]) -> list[st.SearchStrategy]:
    """Mutations of where files lie, and what lies beside them."""
    file = st.sampled_from(files)
    folder = st.sampled_from(sorted({Path(name).parent.as_posix() for name in files}))
    beside = ["._000001.jpg", ".DS_Store", "Thumbs.db", "notes.txt", "a b (1).jpg", "größe 大.jpg"]
    beside += [".ipynb_checkpoints/000001.jpg", "deep/er/000001.jpg", "classes.txt", "new.jpeg"]
    added = st.builds("{}/{}".format, folder, st.sampled_from(beside))
    names = st.sampled_from(
        ["007.jpg", "größe 大.jpg", "a b.jpg", "[x].jpg", "a\nb.jpg", "x" * 251]
    )
    return [
        mutation(remove, file=file),
        mutation(make_folder, file=file),
        mutation(rename, file=file, name=names),
        mutation(link_file, file=file, target=st.sampled_from(["nowhere", ".", "..", "/dev/null"])),
        mutation(add_image, name=added),
        mutation(add_junk, name=added),
        mutation(add_link, name=added, target=st.sampled_from([".", "..", "nowhere", "../.."])),
    ]
