"""The data module of shards: data sets larger than memory and than one disk."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.samplers import EpochSampler
from yolov9_lit.data.shards.files import ShardCache
from yolov9_lit.data.shards.manifest import ANNOTATIONS, MANIFEST
from yolov9_lit.data.shards.reader import FetchAhead, ShardImages, Shards, is_remote, open_shards
from yolov9_lit.data.shards.windows import WindowSampler
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import AnyPath, PositiveFloat, PositiveInt

log = logging.getLogger(__name__)


class StreamDataModule(DetectionDataModule):
    """Splits in shards, in a folder or a store; those for evaluation may be plain COCO format.

    Of shards the folders of images are all that is used: the annotations are in them.
    """

    def __init__(
        self,
        root: AnyPath,
        *args: Any,
        window_shards: PositiveInt = 8,
        shard_cache_dir: AnyPath = "~/.cache/yolov9_lit/shards",
        shard_cache_gb: PositiveFloat = 100.0,
        **kwargs: Annotated[Any, DetectionDataModule],
    ) -> None:
        """Set the parts; nothing is read yet.

        Args:
            root: folder, or address that fsspec reads, that the splits' paths start from.
            args: of `DetectionDataModule`.
            window_shards: shards whose images are shuffled and mixed together.
            shard_cache_dir: folder for fetched shards, for all processes of a machine.
            shard_cache_gb: most gigabytes of them.
            kwargs: of `DetectionDataModule`.
        """
        super().__init__(root, *args, **kwargs)
        if self.repeat_threshold is not None:
            raise UserError(
                "data.repeat_threshold repeats images of the whole set, but shards are read a few "
                "at a time: leave it out, or train on the COCO-format folder that they were made "
                "of."
            )
        self.address = str(root).rstrip("/")
        self.window_shards = window_shards
        self.shard_cache = ShardCache(
            Path(shard_cache_dir).expanduser(), int(shard_cache_gb * 10**9)
        )
        self._shards: dict[str, Shards] = {}

    def annotation_file(self, split: str) -> Path:
        """Ground truth of a split: "train", "val" or "test"; fetched where it is remote."""
        shards = self._find(split)
        return shards.files.local(ANNOTATIONS) if shards else super().annotation_file(split)

    def setup(self, stage: str | None = None) -> None:
        """Open the splits that a stage needs; see `DetectionDataModule.setup`.

        Raises:
            UserError: also where the cache is too small.
        """
        super().setup(stage)
        for split in self._shards:
            self._check_cache(split)

    def _open(self, split: str) -> Annotations:
        shards = self._find(split)
        return shards.annotations if shards else super()._open(split)

    def _find(self, split: str) -> Shards | None:
        """Return the shards of a split, opened once; None where it is plain COCO format."""
        place = self._place(split)
        if split == "train" or is_remote(place) or (Path(place) / MANIFEST).is_file():
            if split not in self._shards:
                self._shards[split] = open_shards(place, self.shard_cache)
            return self._shards[split]
        return None

    def _place(self, split: str) -> str:
        folder = self.paths[split][1]
        if is_remote(folder) or Path(folder).is_absolute():
            return folder
        if is_remote(self.address):
            return f"{self.address}/{folder}"
        return str(self.root / folder)

    def _require_usable(self, splits: Sequence[str]) -> None:
        """Images of a store are not looked at before: all would have to be fetched for it."""
        super()._require_usable([s for s in splits if not is_remote(self._place(s))])

    def _check_cache(self, split: str) -> None:
        """Refuse a cache too small for two windows of each rank and a third being fetched.

        Evaluation reads all shards.
        """
        if not is_remote(self._place(split)):
            return
        manifest = self._shards[split].manifest
        sizes = sorted((manifest.files[name].bytes for name in manifest.shards), reverse=True)
        ranks = self.trainer.num_devices if self.trainer else 1
        together = 3 * self.window_shards * ranks if split == "train" else len(sizes)
        needed = sum(sizes[:together])
        if needed > self.shard_cache.limit:
            raise UserError(
                f"data.shard_cache_gb is {self.shard_cache.limit / 10**9:g}, but {split} needs "
                f"{needed / 10**9:.3g} on each machine: raise it, "
                "or lower data.window_shards and write smaller shards."
            )

    def _train_sampler(self, annotations: Annotations) -> EpochSampler:
        images = annotations.images
        assert isinstance(images, ShardImages)
        return WindowSampler(
            images.firsts,
            self.window_shards,
            self.batches.seed,
            self._closing_from_epoch(),
            *self._rank_and_world(),
            self.batches.partner_pool,
            announce=FetchAhead(images) if is_remote(self._place("train")) else None,
        )
