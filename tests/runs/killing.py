"""A callback for runs of the train command that tests kill."""

import json
import os
import signal
from pathlib import Path

import lightning as L


class Recorder(L.Callback):
    """Notes the image ids of each batch, and kills its process where KILL_AT says: epoch,batch."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if os.environ.get("KILL_AT") == f"{trainer.current_epoch},{batch_idx}":
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        ids = [info.image_id for info in batch.infos]
        with (self.directory / f"seen{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps([trainer.current_epoch, batch_idx, ids]) + "\n")
