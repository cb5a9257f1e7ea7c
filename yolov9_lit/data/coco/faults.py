"""What is wrong with a data set: collected while it is read, told once, never dropped silently."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.errors import UserError, counted, first_few, in_number, told
from yolov9_lit.ranks import is_first_rank

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]
Size = tuple[int, int]


class Fault(Enum):
    """What can be wrong with items of a data set and what is done then; `{}` is for a detail.

    Each is written of many items; `told` makes it one of a single item.
    """

    CATEGORY_ID = "categories without a whole-number id are left out"
    CATEGORY_REPEATED = "categories repeat an id and are left out"
    SPLIT_BOXLESS = "splits have no box to train on or to evaluate, only {}"
    CATEGORIES_DIFFER = "splits have other categories than the first split"
    LAYOUTS_DIFFER = "splits have other keypoints, or other sigmas of them, than the first split"

    IMAGE_ID = "images without a whole-number id are left out"
    IMAGE_NAME = "images without a file_name are left out"
    IMAGE_REPEATED = "image entries repeat another and are left out"
    IMAGE_ID_SHARED = "images share their id with another image and are left out"
    IMAGE_FILE_SHARED = "image entries have the file of another and are kept as an image apart"
    IMAGE_OUTSIDE = "images lie outside their folder and are left out"
    IMAGE_MISSING = "images are missing and left out"
    IMAGE_EMPTY = "images are empty and left out"
    IMAGE_SIZELESS = "images have no height and width, not even in their header, and are left out"
    IMAGE_SIZE_TAKEN = "image entries lack a whole height or width: taken from the image"
    IMAGE_UNREADABLE = "images cannot be read and are left out"
    IMAGE_UNUSABLE = "images cannot be used: each {}"
    IMAGE_SKIPPED = "images are skipped: each {}"
    IMAGE_OTHER_SIZE = "images have another size than their annotations say and are left out"
    IMAGE_DARK = "images are nearly black: no value is above 15 of 255, as of 12 bits in 16"
    IMAGE_COPY = "images equal another one of the same split"
    IMAGE_LEAK = "images equal another one of {}: a leak between the splits"

    UNKNOWN_IMAGE = "annotations have an unknown image_id and are left out"
    UNKNOWN_CATEGORY = "annotations have an unknown category_id and are left out"
    BOX_NUMBERS = "annotations have a bbox that is not four numbers and are left out"
    BOX_INFINITE = "annotations have a bbox that is not finite and are left out"
    BOX_EMPTY = "boxes have no area and are left out"
    BOX_OUTSIDE = "boxes lie outside their image and are left out"
    FRACTIONS = "files seem to give boxes in fractions: multiply them by width and height"
    CORNERS = "files seem to give a bbox as two corners, not as x, y, width and height"
    FORM = "files seem to give boxes in another form than that of their format"
    BOX_BEYOND = "boxes reach beyond their image's edge and are clipped"
    OBJECT_REPEATED = "annotations repeat the class and box of another and are left out"
    ANNOTATION_ID_SHARED = "annotations share an id with another annotation and are kept"
    AREA = "areas are not positive or larger than their box: the box's area is used"
    CROWD = "annotations have an iscrowd that is neither 0 nor 1 and are left out"
    OUTLINE_ELSEWHERE = "annotations have outlines that do not span their box: the box is used"
    OUTLINE = "polygons are broken or of under three corners and are left out, but not their box"
    OUTLINE_FLAT = "annotations have outlines that enclose nothing: the box is used"
    MASK_SIZE = "annotations have an RLE mask of another size than their image: the box is used"
    MASK_BROKEN = "annotations have an RLE mask that cannot be decoded: the box is used"
    MASK_EMPTY = "annotations have an RLE mask that is empty: the box is used"
    OUTLINE_NONE = "annotations have no outline that can be used: no mask is learnt of them"

    KEYPOINT_NAMES = "categories have no list of different names as keypoints: it is passed over"
    KEYPOINTS_DIFFER = "categories have other keypoints than {}: no keypoint is used"
    KEYPOINT_LAYOUTS_DIFFER = (
        "categories have another skeleton, mirrored or sigmas than {}: those of that one count"
    )
    KEYPOINT_LAYOUT = "categories have a part that does not fit their keypoints: it is left out"
    KEYPOINT_NUMBERS = "annotations lack three numbers a keypoint: none is used"
    KEYPOINT_INFINITE = "annotations have a keypoint that is not finite: none is used"
    KEYPOINT_VISIBILITY = "annotations have a visibility other than 0, 1 and 2: no keypoint is used"
    KEYPOINT_COUNT = "annotations have another num_keypoints than keypoints: the keypoints count"

    XML_UNREADABLE = "XML files cannot be read and are left out, like their image"
    XML_OTHER = "XML files are of another kind than VOC's and are left out, like their image"
    XML_WITHOUT_IMAGE = "XML files have no image and are passed over"
    XML_IMAGE_TAKEN = "XML files have the image of another and are passed over"
    XML_OBJECT = "objects lack a name or the four numbers of a box and are left out"
    PLACE_OUTSIDE = "entries of data.yaml lead out of the data set, whose own images count instead"
    CLASS_COUNT = "entries of data.yaml differ from the number of names: the names count"
    FILE_ENDING = "files among the images are passed over for their ending"
    LISTED_MISSING = "listed images are missing and are left out"
    LISTED_REPEATED = "listed images are listed before and are taken once"
    LABELS_WITHOUT_IMAGE = "label files have no image and are passed over"
    LABELS_SHARED = "images have the label file of another: its objects count for both"
    LABELS_TWICE = "label files lie beside an image that has another in labels and are passed over"
    LABELS_UNREADABLE = "label files cannot be read: no objects"
    LINE_FORM = "lines are not a class and 4 (a box), 6 or more numbers (an outline): left out"
    LINE_KEYPOINTS = "lines are neither a box alone nor have the keypoints of kpt_shape: left out"
    LINE_CLASS = "lines have a class that names lacks and are left out"
    LINE_INFINITE = "lines have a number that is not finite and are left out"
    LINE_PIXELS = "lines are not in fractions of the image and are left out"
    LINE_COLUMNS = "lines are not VisDrone's eight numbers with commas between and are left out"
    LINE_CATEGORY = "lines have a category other than 0 to 11 and are left out"


class Note(Enum):
    """What is no fault, but worth knowing; see `Fault`."""

    BOXES_OF_IMAGES = "boxes are left out together with their image"
    NAMELESS = "categories have no name: they are called by their id"
    NAME_SHARED = "categories have the name of another: by name, as in VOC, this is one class"
    UNLABELLED = "images have no label file: they are taken to hold no objects"
    POSES = "lines are read as a box and its keypoints: say so by kpt_shape in the YAML file"
    POSES_OR_OUTLINES = (
        "lines are read as an outline but may be a pose: poses need kpt_shape in the YAML file"
    )
    NO_CLASS = "lines are of no class or have score 0: what is found there is ignored"
    NO_BOX = "shapes are lines, points, cuboids, skeletons or tags, of no box: they are left out"
    TURNED = "boxes or ellipses are turned: the upright box around each is used"
    LISTED_ABSENT = "lines of a list end in -1, as if without a class: their image is used, too"
    RLE = "objects have an RLE mask: its outline is traced"
    OUTLINE_NONE = "objects have no outline, unlike others: task=segment learns no mask of them"
    KEYPOINTS_BEYOND = "objects have keypoints outside their image: training passes these over"
    KEYPOINTS_OUTSIDE = "objects have keypoints outside their box"
    KEYPOINTS_UNNAMED = "annotations have keypoints that their category does not name: none is used"
    IMAGES_TURNED = "images are turned as their EXIF data say: labels count as upright"
    CATEGORIES_EMPTY = "categories have no box"
    CATEGORY_GROUP = "categories are the group of others and have no box: they are left out"
    IMAGES_UNNAMED = "images in its folder are named by no annotation file"


class FoundFault(NamedTuple):
    """A fault of one item.

    Attributes:
        fault: what is wrong.
        where: the item: "annotation 17", "images/a.jpg".
        image: name of the image it belongs to; empty for none.
        box: x, y, width and height in pixels as they were given; None if the fault has no box.
        split: that it was found in; empty where a source has one only.
        detail: completes the fault's sentence.
    """

    fault: Fault
    where: str
    image: str = ""
    box: Box | None = None
    split: str = ""
    detail: str = ""

    @property
    def sentence(self) -> str:
        """Return what is wrong and what is done, without the item."""
        return self.fault.value.format(self.detail)


class Faults:
    """The faults of one data set.

    Attributes:
        source: the file or folder they were found in.
        found: in the order they were found.
        notes: what is no fault; told in the log, never an error.
        earlier: counts by sentence of what was found, and told, when the source was made.
        split: that is read now, noted with each fault.
    """

    def __init__(self, source: str | Path, earlier: Mapping[str, int] | None = None) -> None:
        """Begin with none."""
        self.source = source
        self.found: list[FoundFault] = []
        self.notes: Counter[Note] = Counter()
        self.earlier = dict(earlier or {})
        self.split = ""

    def add(
        self, fault: Fault, where: str, image: str = "", box: Box | None = None, detail: str = ""
    ) -> None:
        """Add a fault; see `FoundFault`."""
        self.found.append(FoundFault(fault, where, image, box, self.split, detail))

    def add_size(self, image: str, size: Size, said: Size) -> None:
        """Add an image whose height and width are not those that its annotations say."""
        where = f"{image}: {size[1]} x {size[0]}, not {said[1]} x {said[0]}"
        self.add(Fault.IMAGE_OTHER_SIZE, where, image)

    def to_json(self) -> dict[str, Any]:
        """Return all of it for a file, but the source."""
        found = [(f.fault.name, f.where, f.image, f.box, f.detail, f.split) for f in self.found]
        notes = {note.name: count for note, count in self.notes.items()}
        return {"found": found, "notes": notes, "earlier": self.earlier}

    @classmethod
    def from_json(cls, source: str | Path, content: Mapping[str, Any]) -> Faults:
        """Return the faults that `to_json` gave."""
        faults = cls(source, content["earlier"])
        for name, where, image, box, detail, split in content["found"]:
            numbers = None if box is None else (box[0], box[1], box[2], box[3])
            faults.found.append(FoundFault(Fault[name], where, image, numbers, split, detail))
        faults.notes.update({Note[name]: count for name, count in content["notes"].items()})
        return faults

    def by_sentence(self) -> dict[str, list[FoundFault]]:
        """Group the faults by their sentence, in the order they were found."""
        groups: dict[str, list[FoundFault]] = defaultdict(list)
        for item in self.found:
            groups[item.sentence].append(item)
        return dict(groups)

    def counts(self) -> dict[str, int]:
        """Count faults, earlier ones included, and notes by their sentence."""
        counts = Counter(self.earlier)
        counts.update(item.sentence for item in self.found)
        counts.update({note.value: count for note, count in self.notes.items()})
        return dict(counts)

    def summary(self) -> str:
        """Describe the present split's faults in one line: of each kind count and first items."""
        groups = {
            sentence: [item for item in items if item.split == self.split]
            for sentence, items in self.by_sentence().items()
        }
        return "; ".join(_line(sentence, items) for sentence, items in groups.items() if items)

    def raise_or_warn(self, *, strict: bool) -> None:
        """Warn once of each kind, with its count and first items; only the first rank does.

        Raises:
            UserError: `strict`, and there is a fault; it lists all of them.
        """
        if strict and self.found:
            raise UserError(
                f"{self.source} has {counted(len(self.found), 'fault')} and strict=true was "
                "given: mend them or leave strict out.",
                *(f"{item.where}: {in_number(1, item.sentence)}" for item in self.found),
            )
        if is_first_rank():
            for sentence, items in self.by_sentence().items():
                log.warning("%s: %s", self.source, _line(sentence, items))
            for note, count in self.notes.items():
                log.info("%s: %s", self.source, told(count, note.value))


@cache
def warn_once(message: str) -> None:
    """Warn of each message once in this process."""
    log.warning(message)


def first_places(items: Sequence[FoundFault]) -> str:
    """Return where the first faults are, each place once."""
    return first_few([*dict.fromkeys(item.where for item in items)])


def _line(sentence: str, items: list[FoundFault]) -> str:
    return f"{told(len(items), sentence)} ({first_places(items)})"
