"""Gives a poor trial up early, in a search for accuracy against cost.

Optuna refuses `report` and `should_prune` in studies with several objectives: no single value says
there what "worse" is. Here cost is known before the first batch, so the median rule (Golovin et
al., "Google Vizier", KDD 2017, section 3.2) can be asked of the right trials: one is given up when
its best validation AP so far is below the median of what the trials that cost no more had at the
same epoch. Trials that cost more are no measure of it, and the cheapest is never given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

import lightning as L

from yolov9_lit.runs.search.trial import NAME, VAL_AP, TrialRecord
from yolov9_lit.training.module import DetectionModule


def is_poor(
    own: TrialRecord, others: Iterable[TrialRecord], epoch: int, *, min_peers: int, slack: float
) -> bool:
    """Whether a trial is below the median of its peers at an epoch.

    Args:
        own: the trial's record.
        others: of the search's other trials.
        epoch: the last one of the trial.
        min_peers: fewer trials to compare with give nobody up.
        slack: a trial that costs up to this share more still is a peer.
    """
    limit = own.gflops * (1 + slack)
    peers = [r.best(epoch) for r in others if r.gflops <= limit and epoch in r.curve]
    return len(peers) >= min_peers and own.best(epoch) < median(peers)


class ParetoPruner(L.Callback):
    """Keeps the trial's record and ends the training when it is poor for its cost.

    The training then ends as one that has had all its epochs: with a test and a whole run folder.
    """

    def __init__(
        self,
        directory: str | Path,
        grace: float = 0.2,
        min_peers: int = 4,
        slack: float = 0.05,
        monitor: str = VAL_AP,
    ) -> None:
        """Set the rule.

        Args:
            directory: the run's folder; those beside it are the other trials'.
            grace: share of the epochs, 0..1, in which no trial is given up; 1 gives none up.
            min_peers: fewer trials to compare with give nobody up.
            slack: a trial that costs up to this share more still is a peer.
            monitor: the validation AP that tells a poor one.
        """
        self.directory = Path(directory)
        self.grace = grace
        self.min_peers = min_peers
        self.slack = slack
        self.monitor = monitor

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin the record, or go on with that of the epochs a resumed run has behind it."""
        assert isinstance(pl_module, DetectionModule)
        earlier = TrialRecord.read(self.directory)
        curve = earlier.curve if earlier else {}
        past = {epoch: ap for epoch, ap in curve.items() if epoch < trainer.current_epoch}
        gflops = pl_module.cost.deployed.gflops
        self.record = TrialRecord(gflops, past, monitor=self.monitor)
        if earlier and earlier.pruned in past:  # Killed after it was given up, before its end.
            self.record.pruned = earlier.pruned
            trainer.should_stop = True
        if trainer.is_global_zero:
            self.record.write(self.directory)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the epoch's AP, and end a poor trial on all ranks."""
        if trainer.sanity_checking:
            return
        epoch = trainer.current_epoch
        self.record.curve[epoch] = float(trainer.callback_metrics[self.monitor])
        is_last = epoch + 1 == trainer.max_epochs
        may_end = epoch + 1 > self.grace * (trainer.max_epochs or 0) and not is_last
        # All ranks do what the first one sees in the other folders.
        poor = trainer.strategy.broadcast(trainer.is_global_zero and may_end and self._poor(epoch))
        if poor:
            self.record.pruned = epoch
            trainer.should_stop = True
        if trainer.is_global_zero:
            self.record.write(self.directory)

    def _poor(self, epoch: int) -> bool:
        folders = (path.parent for path in self.directory.parent.glob(f"*/{NAME}"))
        records = (TrialRecord.read(f) for f in folders if f.resolve() != self.directory.resolve())
        others = [record for record in records if record]
        return is_poor(self.record, others, epoch, min_peers=self.min_peers, slack=self.slack)
