"""A trained network by its path, asked about videos or frames."""

from pathlib import Path
from typing import Any

import numpy as np

from stfnet.config import ClipConfig
from stfnet.inference import prediction
from stfnet.inference.clip import read_clip
from stfnet.run.config import RunConfig


class Recognizer:
    """A network that knows its classes and its clip.

    Every other attribute is the network's own: `compile`, `fit`, `evaluate`, `summary`, `save`.

    Example:
        >>> model = stfnet.load("run")
        >>> model.classes, model.config.clip.num_frames
        (('Left', 'Right', 'Still'), 3)
        >>> model.predict_frames(np.zeros((9, 48, 64, 3), "uint8"), top=1)
        [('...', 0...)]

    Args:
        network: anything with `predict_on_batch`, such as `stfnet.STFNet`.
        config: of its run.

    Attributes:
        config: settings of the network, with its clip.
        classes: their names, in the order of the softmax.
        stored: how the records that it learned from were made.
    """

    def __init__(self, network: Any, config: RunConfig):
        self.network, self.config, self._run = network, config.model, config
        self.classes, self.stored = tuple(config.classes), config.records

    def __getattr__(self, name: str) -> Any:
        if name == "network":  # not there yet, as in a copy
            raise AttributeError(name)
        return getattr(self.network, name)

    def predict_video(
        self, path: str | Path, top: int = 5, flow_quality: str | None = None
    ) -> list[tuple[str, float]]:
        """The most probable classes of a video, best first, each with its probability.

        Args:
            path: video file, or folder of images.
            top: number of classes.
            flow_quality: of TV-L1, `fast` or `reference`; None for that of the records.

        Raises:
            UserError: the video does not decode or is too short.
        """
        return self._answer(path, top, flow_quality)

    def predict_frames(
        self, frames: np.ndarray, top: int = 5, flow_quality: str | None = None
    ) -> list[tuple[str, float]]:
        """As `predict_video`, of all frames of a video: uint8 (N, H, W, 3), RGB."""
        return self._answer(np.asarray(frames), top, flow_quality)

    def _answer(self, source, top, quality):
        probabilities, _ = prediction.predict_video(self.network, self._run, source, quality)
        return prediction.rank(probabilities, self.classes, top)


def load(path: str | Path) -> Recognizer:
    """Loads a trained network.

    Example:
        >>> model = stfnet.load("run")
        >>> model.predict_video("a.mp4", top=2)
        [('...', 0...), ('...', 0...)]

    Args:
        path: folder of a run or of an export, a `.keras` file, or the name of a network that ships,
            such as `ucf101-13`. A file knows its classes, and how its flow was made, where training
            or `stfnet.build_stfnet(config, learned)` told it; any other names its classes
            `class 0`, `class 1`, ..., which a line says.

    Raises:
        UserError: there is no network, or its file is damaged.
    """
    return Recognizer(*prediction.load_model(path))


def clip(
    source: str | Path | np.ndarray, config: ClipConfig, flow_quality: str = "fast"
) -> dict[str, np.ndarray]:
    """The test clip of a video as a batch of one (Eqs. 13-14).

    Example:
        >>> inputs = stfnet.clip("a.mp4", stfnet.ClipConfig(num_frames=3, image_size=32))
        >>> inputs["rgb"].shape, inputs["flow"].shape
        ((1, 3, 32, 32, 3), (1, 3, 32, 32, 8))

    Args:
        source: video file, folder of images, or frames uint8 (N, H, W, 3), RGB.
        config: the clip configuration.
        flow_quality: of TV-L1, `fast` or `reference`.

    Returns:
        `rgb` uint8 (1, T, H, W, 3) and `flow` uint8 (1, T, H, W, 2L).
    """
    made = read_clip(source, config, "both", flow_quality)
    return {name: made[name][None] for name in ("rgb", "flow")}
