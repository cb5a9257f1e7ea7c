"""The LightningDataModule of any data set in COCO format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import lightning as L
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from yolov9_lit.checks import existing_folder
from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.data.class_choice import ALL_CLASSES, ClassChoice
from yolov9_lit.data.coco.cache import AnnotationCache
from yolov9_lit.data.coco.category_entries import require_same
from yolov9_lit.data.coco.layout import settings_of
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.coco.truth import Truth, read_ground_truth
from yolov9_lit.data.images import ImageFiles, load_image
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.data.loader import Batches
from yolov9_lit.data.prepare.scan import require_usable
from yolov9_lit.data.repeat_factors import class_factors, epoch_length, image_factors
from yolov9_lit.data.samplers import EpochSampler, TrainSampler
from yolov9_lit.data.use import Use, lacks, require_outlines, tell_lacks
from yolov9_lit.errors import UserError, counted, first_few
from yolov9_lit.kinds import AnyPath, ClassNames, Count, OneClass, PathText, PositiveShare
from yolov9_lit.memory import no_garbage_collection
from yolov9_lit.structures import KeypointLayout

if TYPE_CHECKING:  # Few evaluations corrupt, and albumentations takes a second to import.
    from yolov9_lit.data.corruptions.corruption import Corruption

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TruthOf:
    """The ground truth of a split, given when it is asked for.

    Averaging copies the module that is trained; a copy shares the data, which it must not copy.
    """

    datamodule: DetectionDataModule
    split: str

    def __call__(self, *, masks: bool = False, keypoints: bool = False) -> Truth:
        """Return what the split is measured by."""
        return self.datamodule.ground_truth(self.split, masks=masks, keypoints=keypoints)

    def __deepcopy__(self, memo: Any) -> TruthOf:
        return self


class DetectionDataModule(L.LightningDataModule):
    """Images and annotations of training, validation and test in COCO format.

    Attributes:
        channels: of the images of a batch.
        choice: which classes are used.
        corruption: what is done to each image of the test; its truth moves with it.
        unscaled: whether the test's images come one a batch and in their own sizes.
    """

    channels = 3

    def __init__(
        self,
        root: AnyPath,
        train_images: PathText,
        train_annotations: PathText,
        val_images: PathText,
        val_annotations: PathText,
        test_images: PathText | None = None,
        test_annotations: PathText | None = None,
        *,
        classes: ClassNames | None = None,
        single_class: OneClass = False,
        repeat_threshold: PositiveShare | None = None,
        strict: bool = False,
        close_mosaic_epochs: Count = 15,
        cache_dir: AnyPath | None = None,
        prepare: Callable[[Path], Path] | None = None,
        how_to_get: str = "",
        **batches: Annotated[Any, Batches],
    ) -> None:
        """Set the parts; nothing is read yet.

        Args:
            root: folder that the following paths start from.
            train_images: folder of the training images.
            train_annotations: their COCO-format file.
            val_images: folder of the validation images.
            val_annotations: their COCO-format file.
            test_images: folder of the test images; the validation's by default.
            test_annotations: their COCO-format file; the validation's by default.
            classes: names of those that are used, in the order of their labels; all by default.
                Objects of others are left out, their images stay.
            single_class: make all of them one class, of that name or called "object".
            repeat_threshold: classes in a smaller share of the training images are rare, and their
                images come more often, see `repeat_factors`; by default each comes once an epoch.
            strict: make faults in the data an error that lists them, before a training begins;
                otherwise what is faulty is left out or clipped, with a warning that counts it.
            close_mosaic_epochs: last epochs, trained without the transforms that close; a training
                of no more epochs keeps them throughout.
            cache_dir: folder of a cache on disk; `.cache` in `root` by default.
            prepare: given `root`, makes what is missing of the data and returns the folder that the
                paths start from: `root` or another.
            how_to_get: told to a user who has not got the data.
            batches: the other settings of `Batches`.
        """
        super().__init__()
        self.root = Path(root).expanduser()
        self.paths = {
            "train": (train_annotations, train_images),
            "val": (val_annotations, val_images),
            "test": (test_annotations or val_annotations, test_images or val_images),
        }
        self.choice = ClassChoice.given(classes, single_class)
        self.repeat_threshold = repeat_threshold
        self.strict = strict
        self.close_mosaic_epochs = close_mosaic_epochs
        self.prepare = prepare
        self.how_to_get = how_to_get
        cache = Path(cache_dir).expanduser() if cache_dir else self.root / ".cache"
        self.batches = Batches(cache_dir=cache, **batches)
        self._folder: Path | None = None
        self._splits: dict[str, Annotations] = {}
        self._truths: dict[tuple[Path, bool, bool], Truth] = {}
        self.lacks: list[str] = []
        self.corruption: Corruption | None = None
        self.unscaled = False

    @property
    def folder(self) -> Path:
        """Return what the paths start from: the root, or the folder that `prepare` gave."""
        return self._folder or self.root

    def annotations(self, split: str) -> Annotations:
        """Return the images and objects of a split that `setup` has read."""
        return self._splits[split]

    def annotation_file(self, split: str) -> Path:
        """Return the annotation file of a split: "train", "val" or "test"."""
        return self.folder / self.paths[split][0]

    def ground_truth(self, split: str, *, masks: bool = False, keypoints: bool = False) -> Truth:
        """Return what "val" or "test" is measured by.

        It is read here, once, if it is to have more than boxes or `setup` read arrays.
        """
        key = (self.annotation_file(split), masks, keypoints)
        if key not in self._truths:
            known = self.annotations(split)
            sizes = map(tuple, known.sizes.tolist())
            by_id = dict(zip(known.image_ids.tolist(), sizes, strict=True))
            layout = known.layout if keypoints else None
            truth = read_ground_truth(
                key[0], masks=masks, keypoints=layout, extra=self.batches.extra, sizes=by_id
            )
            self._truths[key] = self.choice.of_truth(truth, key[0])
        truth = self._truths[key]
        if split != "test" or self.corruption is None or not self.corruption.moves:
            return truth
        from yolov9_lit.data.corruptions.truth import moved_truth

        return moved_truth(truth, self.annotations(split), self.corruption)

    @property
    def categories(self) -> tuple[Category, ...]:
        """Return the classes by index; known after `setup`."""
        return next(iter(self._splits.values())).categories

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names by class index; known after `setup`."""
        return tuple(category.name for category in self.categories)

    @property
    def num_classes(self) -> int:
        """Return the number of classes; known after `setup`."""
        return len(self.categories)

    @property
    def keypoints(self) -> KeypointLayout | None:
        """Return what the keypoints are that batches have, if any; known after `setup`."""
        if self.batches.keypoints is None:
            return None
        return next(iter(self._splits.values())).layout

    def adopt(self, choice: ClassChoice) -> None:
        """Use the classes that a model was trained on, unless some are chosen; before `setup`."""
        if choice not in (ALL_CLASSES, self.choice) and self.choice == ALL_CLASSES:
            self.choice = choice
            log.info("The classes are those of the checkpoint: %s", choice)

    def prepare_data(self) -> None:
        """Make the data where that is what this data set does, once."""
        if self._folder is None:
            self._folder = self.prepare(self.root) if self.prepare else self.root

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations that a stage ("fit", "validate", "test") needs, once.

        What little can be learnt from or measured by, as `lacks` says it, is told in one line.

        Raises:
            UserError: a file or folder is missing or broken, or the splits' classes or keypoints
                differ or there are none of these where batches are to have them; or
                `strict`, and there are faults or lacks: before a training those of the images too.
        """
        self.prepare_data()  # Lightning does it in one process of each machine only.
        wanted = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
        }.get(stage or "", ("train", "val", "test"))
        new = [split for split in wanted if split not in self._splits]
        for split in new:
            self._splits[split] = self._read(split)
        first, *others = self._splits.values()
        for other in others:
            require_same(first.path, dict(first.categories), other.path, dict(other.categories))
            if self.batches.keypoints is not None and first.layout != other.layout:
                raise UserError(
                    f"{other.path} lists other keypoints than {first.path}: train and measure on "
                    "files whose categories have the same names, in the same order."
                )
        self._note_lacks(new)
        if self.strict and stage == "fit":
            self._require_usable(new)

    def test_image(self, image_id: int) -> np.ndarray:
        """Read an image of the test, corrupted if the test's are: (H, W, 3) uint8 RGB.

        Raises:
            UnreadableImage: it cannot be read.
        """
        image = load_image(self.annotations("test").images, self._test_index(image_id))
        return image if self.corruption is None else self.corruption.image(image, image_id)

    def test_image_name(self, image_id: int) -> str:
        """Return the path of an image of the test, from the data's folder on."""
        name = self.annotations("test").images.name(self._test_index(image_id))
        return name.removeprefix(f"{self.folder}/")

    def _test_index(self, image_id: int) -> int:
        return int(np.flatnonzero(self.annotations("test").image_ids == image_id)[0])

    def used(self, by_split: Mapping[str, Use]) -> dict[str, dict[str, Any]]:
        """Return what a run's record tells of each split that was read, see `Use.of`."""
        return {
            split: by_split.get(split, Use()).of(annotations)
            for split, annotations in self._splits.items()
        }

    def train_dataloader(self) -> DataLoader:
        """Load shuffled, augmented batches."""
        annotations = self._splits["train"]
        return self.batches.training(annotations, self._train_sampler(annotations))

    def val_dataloader(self) -> DataLoader:
        """Load letterboxed batches of similar aspect ratio."""
        return self.batches.evaluation(self._splits["val"], *self._rank_and_world())

    def test_dataloader(self) -> DataLoader:
        """Load letterboxed batches of similar aspect ratio, or the images as they are."""
        load = self.batches.unscaled if self.unscaled else self.batches.evaluation
        return load(self._splits["test"], *self._rank_and_world(), self.corruption)

    def fixed_training_images(self, count: int) -> list[Tensor]:
        """Return the images of `Batches.fixed` of the training: (B, 3, H, W) uint8 each.

        Raises:
            UserError: none of them can be read.
        """
        batches = self.batches.fixed(self._splits["train"], count)
        if not (found := [batch.images for batch in batches if batch.infos]):
            raise UserError(
                f"None of {counted(count, 'training image')} in {self.root} can be read: look at "
                "the data with `python -m yolov9_lit.data check`."
            )
        return found

    def _read(self, split: str) -> Annotations:
        if split == "test" and self.paths["test"] == self.paths["val"] and "val" in self._splits:
            return self._splits["val"]
        opened = self._open(split)
        annotations = self.choice.of(opened)
        if annotations is not opened:
            _tell_chosen(split, opened, annotations)
        if self.batches.extra and annotations.extra is None:
            raise UserError(
                f"{annotations.path} is in shards, which hold no further numbers of objects as "
                "data.extra asks for: train on the COCO-format folder that they were made of."
            )
        if self.batches.keypoints is not None:
            annotations = _with_keypoints(annotations, self.batches.keypoints)
        if self.batches.masks and split == "train":
            require_outlines(annotations)
        log.info(
            "%s: %s with %s of %s in %s",
            split,
            counted(len(annotations), "image"),
            counted(int((~annotations.crowd).sum()), "box"),
            counted(annotations.num_classes, "class"),
            annotations.path,
        )
        return annotations

    @no_garbage_collection()
    def _open(self, split: str) -> Annotations:
        existing_folder("data.root", self.root, self.how_to_get)
        images, file = self.folder / self.paths[split][1], self.annotation_file(split)
        if not file.is_file():
            key = "val" if self.paths[split] == self.paths["val"] else split
            annotations, folder = settings_of(self.folder, key)
            raise UserError(
                f"There is no annotation file {file}: give data.{key}_annotations={annotations} "
                f"and data.{key}_images={folder} as they are named under data.root."
            )
        if self.batches.extra:
            return read_coco(file, images, strict=self.strict, extra=self.batches.extra)
        read = AnnotationCache(self.batches.cache_dir / "annotations").read(file, images)
        read.faults.raise_or_warn(strict=self.strict)
        if split != "train":
            self._truths[file, False, False] = self.choice.of_truth(read.truth(), file)
        return read.annotations

    def _note_lacks(self, splits: Sequence[str]) -> None:
        """Tell what is missing of those splits."""
        found = []
        for split in splits:
            if split != "test" or self._splits["test"] is not self._splits.get("val"):
                found += lacks(
                    split,
                    self._splits[split],
                    self.batches.image_size,
                    masks=self.batches.masks,
                    keypoints=self.batches.keypoints is not None,
                )
                found += self._seen_in_training(split)
        self.lacks += found
        tell_lacks(str(self.root), found, strict=self.strict)

    def _seen_in_training(self, split: str) -> list[str]:
        """Say if images are measured on that are trained on."""
        if split == "train" or "train" not in self._splits:
            return []
        train, other = (self._splits[name].images for name in ("train", split))
        if not (isinstance(train, ImageFiles) and isinstance(other, ImageFiles)):
            return []  # Shards are made of splits that were looked at.
        if not (shared := other.also_in(train)):
            return []
        images = f"{len(shared):,} of the {len(other.names):,} images of {split}"
        names = first_few([PurePath(name).name for name in shared])
        return [f"{images} are trained on ({names}), so its figures say little of others"]

    def _require_usable(self, splits: Sequence[str]) -> None:
        found = [self._splits[split] for split in splits]
        require_usable(str(self.root), found, self.batches.num_workers)

    def _train_sampler(self, annotations: Annotations) -> EpochSampler:
        return TrainSampler(
            len(annotations),
            self.batches.seed,
            self._closing_from_epoch(),
            *self._rank_and_world(),
            self.batches.partner_pool,
            self._factors(annotations),
        )

    def _factors(self, annotations: Annotations) -> np.ndarray | None:
        """Return how often each training image comes on average; None: each once."""
        if self.repeat_threshold is None:
            return None
        of_class = class_factors(annotations, self.repeat_threshold)
        factors = image_factors(annotations, of_class)
        rarest = [i for i in np.argsort(-of_class, kind="stable").tolist() if of_class[i] > 1]
        log.info(
            "train: with images of rare classes repeated, an epoch has %s of %s: %s",
            f"{epoch_length(factors):,}",
            counted(len(factors), "image"),
            first_few([f"{annotations.class_names[i]} x {of_class[i]:.1f}" for i in rarest])
            or f"no class is in fewer than {self.repeat_threshold:g} of them",
        )
        return factors

    def _closing_from_epoch(self) -> int | None:
        epochs = (self.trainer and self.trainer.max_epochs) or 0
        before = epochs - self.close_mosaic_epochs
        return before if self.close_mosaic_epochs and before > 0 else None

    def _rank_and_world(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def _tell_chosen(split: str, opened: Annotations, chosen: Annotations) -> None:
    having = int((np.diff(chosen.offsets) > 0).sum())
    log.info(
        "%s: the chosen classes have %s of %s; %s of %s have none of them and are negatives",
        split,
        f"{len(chosen.boxes):,}",
        counted(len(opened.boxes), "object"),
        f"{len(chosen) - having:,}",
        counted(len(chosen), "image"),
    )


def _with_keypoints(annotations: Annotations, settings: KeypointSettings) -> Annotations:
    """Return annotations whose keypoints are what the settings say.

    Raises:
        UserError: they have none, or the settings do not fit them.
    """
    if annotations.layout is None:
        raise UserError(
            f"{annotations.path} has no category with keypoints that can be used, which "
            f"{settings.wanted}."
        )
    layout = settings.applied(annotations.layout)
    pairs = [(i, other) for i, other in enumerate(layout.mirrored) if i < other]
    log.info(
        "%s: %s (%s), of which %s change places in a mirrored image; %s have some",
        annotations.path,
        counted(len(layout.names), "keypoint"),
        ", ".join(layout.names),
        ", ".join(f"{layout.names[a]} and {layout.names[b]}" for a, b in pairs) or "none",
        counted(int((annotations.keypoints[..., 2] > 0).any(axis=1).sum()), "box"),
    )
    return replace(annotations, layout=layout)
