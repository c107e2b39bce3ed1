"""A training with what shows it: TensorBoard's logs and the curves of loss and accuracy."""

from pathlib import Path
from typing import Any

import keras

from preprocessing.records import RecordSet
from stfnet import run
from stfnet.drawing import plots
from stfnet.run.config import RunConfig
from stfnet.training import loop, strategies
from stfnet.training.schedule import Progress
from stfnet.training.tensorboard import TensorBoard


def train(config: RunConfig, record_set: RecordSet, workdir: Path, **settings: Any) -> Progress:
    """`loop.train`, with TensorBoard's logs, and `curves.png` at its end.

    The state of Keras is cleared first, so runs can follow each other in one process. `settings`
    are other arguments of `loop.train`, but its callbacks.
    """
    workdir = Path(workdir)
    keras.backend.clear_session()
    board = TensorBoard(workdir / run.TENSORBOARD_FOLDER, record_set, config)
    progress = loop.train(config, record_set, workdir, callbacks=[board], **settings)
    if strategies.is_chief(settings.get("strategy")):
        with plots.never_fatal(workdir / run.CURVES_FILE):
            validation = "validation" + " (trained on too)" * config.training.train_on_validation
            plots.draw_curves(progress.history, workdir / run.CURVES_FILE, validation)
    return progress
