"""The training split of a small data set in any format, as the tests of layouts compare it."""

from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.prepare.formats.source import read_splits


def read_train(form, root):
    """The names of the images, the number of their boxes, and what was told."""
    faults = Faults(root)
    train = read_splits(form(root, faults))["train"]
    names = [entry["file_name"] for entry in train.images.values()]
    return names, len(train.objects), [(item.where, item.sentence) for item in faults.found]
