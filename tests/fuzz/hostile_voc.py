"""A sound Pascal VOC data set, and what can be wrong with its XML files and lists."""

from functools import cache
from xml.etree import ElementTree

from hostile_files import Files, image, of_images, of_texts
from hostile_values import TEXTS, mutation, numbers, texts
from hypothesis import strategies as st

SPLITS = ("train", "val")
SIZES = [(40, 30), (24, 32), (64, 48), (8, 8)]
STEMS = {s: [f"{s}_{n:06}" for n in range(1, 5 if s == "train" else 3)] for s in SPLITS}
ALL = [stem for stems in STEMS.values() for stem in stems]
XMLS = [f"Annotations/{stem}.xml" for stem in ALL]
IMAGES = [f"JPEGImages/{stem}.jpg" for stem in ALL]
LISTS = {split: f"ImageSets/Main/{split}.txt" for split in SPLITS}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
PLACES = ["filename", "folder", "size", "size/width", "size/height", "size/depth", "object"]
PLACES += ["object/name", "object/bndbox", "object/difficult", "object/part"]
PLACES += [f"object/bndbox/{corner}" for corner in CORNERS]


@cache
def sound_voc() -> Files:
    """Four images to train on, two to validate on; the last of train is without objects."""
    files: Files = {}
    for split, stems in STEMS.items():
        files[LISTS[split]] = "".join(f"{stem}\n" for stem in stems).encode()
        for number, stem in enumerate(stems):
            files[f"JPEGImages/{stem}.jpg"] = image(SIZES[number], seed=number)
            files[f"Annotations/{stem}.xml"] = _xml(stem, *SIZES[number], 0 if number == 3 else 3)
    return files


def _xml(stem: str, width: int, height: int, count: int) -> bytes:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    objects = ""
    for k in range(count):
        corners = (k * width // 4, k * height // 5, (k + 1) * width // 3, (k + 2) * height // 4)
        box = "".join(f"<{c}>{v}</{c}>" for c, v in zip(CORNERS, corners, strict=True))
        name = f"<name>{('dog', 'cat', 'x')[k]}</name><difficult>{k // 2}</difficult>"
        objects += f"<object>{name}<bndbox>{box}</bndbox></object>"
    head = f"<folder>JPEGImages</folder><filename>{stem}.jpg</filename>"
    return f"<annotation>{head}{size}{objects}</annotation>".encode()


class _Xml:
    """The XML of a file while a mutation changes it; an empty element where it is none."""

    def __init__(self, files: Files, file: str) -> None:
        self.files, self.file, self.root = files, file, None

    def __enter__(self) -> ElementTree.Element:
        content = self.files.get(self.file)
        try:
            self.root = ElementTree.fromstring(content if isinstance(content, bytes) else b"")
        except (ElementTree.ParseError, ValueError, LookupError):
            return ElementTree.Element("annotation")
        return self.root

    def __exit__(self, *_: object) -> None:
        if self.root is not None:
            text = ElementTree.tostring(self.root, encoding="unicode")
            self.files[self.file] = text.encode("utf-8", "replace")


def _parent(root: ElementTree.Element, place: str, index: int) -> ElementTree.Element | None:
    parents = root.findall(place.rpartition("/")[0] or ".")
    return parents[index % len(parents)] if parents else None


def set_text(files: Files, file, place, index, text):
    with _Xml(files, file) as root:
        for element in root.findall(place)[index : index + 1]:
            element.text = str(text)


def set_text_everywhere(files: Files, file, place, text):
    with _Xml(files, file) as root:
        for element in root.findall(place):
            element.text = str(text)


def remove_element(files: Files, file, place, index):
    with _Xml(files, file) as root:
        parent = _parent(root, place, index)
        element = None if parent is None else parent.find(place.rpartition("/")[2])
        if parent is not None and element is not None:
            parent.remove(element)


def repeat_element(files: Files, file, place, index, times):
    with _Xml(files, file) as root:
        parent = _parent(root, place, index)
        element = None if parent is None else parent.find(place.rpartition("/")[2])
        if parent is not None and element is not None:
            for _ in range(times):
                parent.append(element)


def nest_element(files: Files, file, place, index):
    with _Xml(files, file) as root:
        parent = _parent(root, place, index)
        if parent is not None:
            ElementTree.SubElement(parent, place.rpartition("/")[2]).append(
                ElementTree.Element("a")
            )


def swap_corners(files: Files, file, index):
    with _Xml(files, file) as root:
        for box in root.findall("object/bndbox")[index : index + 1]:
            for corner, tag in zip(list(box), ("xmax", "ymax", "xmin", "ymin"), strict=False):
                corner.tag = tag


def declare_encoding(files: Files, file, encoding):
    content = files.get(file)
    if isinstance(content, bytes):
        files[file] = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + content


def declare_entities(files: Files, file, depth):
    """Each entity is ten of the one before it, as in the bomb called a billion laughs."""
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, depth))
    head = f'<!DOCTYPE annotation [<!ENTITY e0 "ha">{entities}]>'
    files[file] = f"{head}<annotation><filename>&e{depth - 1};</filename></annotation>".encode()


def read_outside(files: Files, file):
    head = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    files[file] = f"{head}<annotation><filename>&x;</filename></annotation>".encode()


def with_namespace(files: Files, file):
    content = files.get(file)
    if isinstance(content, bytes):
        files[file] = content.replace(b"<annotation>", b'<annotation xmlns="http://x.y/z">')


def list_names(files: Files, split, lines):
    files[LISTS[split]] = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def end_names_with(files: Files, split, ending):
    listed = files.get(LISTS[split])
    if isinstance(listed, bytes):
        files[LISTS[split]] = listed.replace(b"\n", ending.encode() + b"\n")


def voc_mutations() -> list[st.SearchStrategy]:
    split, index = st.sampled_from(SPLITS), st.integers(0, 2)
    at = {"file": st.sampled_from(XMLS), "place": st.sampled_from(PLACES)}
    corner = {"file": at["file"], "place": st.sampled_from(PLACES[-4:])}
    text = numbers.map(str) | texts.map(lambda t: "".join(c for c in t if c.isprintable()))
    sides = st.sampled_from(
        ["0", "1", "32", "64", "640", "40.0", "-5", "nan", "1e400", "2147483648"]
    )
    listed = st.lists(st.sampled_from([*ALL, *TEXTS, *IMAGES, "train_000001.jpg"]), max_size=6)
    endings = st.sampled_from([" 1", " -1", "  0", ".jpg", ".xml", "\r", "\t1"])
    encodings = st.sampled_from(["utf-8", "latin-1", "utf-16", "ascii", "x-mac", "utf-7", ""])
    return [
        mutation(set_text, **at, index=index, text=text),
        mutation(set_text, **corner, index=index, text=text | sides),
        mutation(set_text_everywhere, **at, text=text | sides),
        mutation(remove_element, **at, index=index),
        mutation(repeat_element, **at, index=index, times=st.sampled_from([1, 100])),
        mutation(nest_element, **at, index=index),
        mutation(swap_corners, file=at["file"], index=index),
        mutation(declare_encoding, file=at["file"], encoding=encodings),
        mutation(declare_entities, file=at["file"], depth=st.sampled_from([2, 9])),
        mutation(read_outside, file=at["file"]),
        mutation(with_namespace, file=at["file"]),
        mutation(list_names, split=split, lines=listed),
        mutation(end_names_with, split=split, ending=endings),
        *of_texts([*XMLS, *LISTS.values()]),
        *of_images(IMAGES),
    ]
