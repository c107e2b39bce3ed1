import numpy as np
import pytest

from preprocessing import video
from preprocessing.datasets import load
from preprocessing.errors import UserError


def _load(source, tmp_path):
    return load.load(source, tmp_path / "videos", seed=0, groups=2, clips_per_group=1, workers=1)


def test_a_tfds_video_data_set(tmp_path):
    import tensorflow_datasets as tfds

    class TinyActions(tfds.core.GeneratorBasedBuilder):
        """Grey clips whose brightness tells the class."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "video": tfds.features.Video(shape=(None, 16, 16, 3)),
                "label": tfds.features.ClassLabel(names=["Dark", "Light"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {
                name: self._generate_examples(count)
                for name, count in (("train", 3), ("test", 2), ("validation", 1), ("extra", 1))
            }

        def _generate_examples(self, count):
            for index in range(count):
                label = index % 2
                frames = np.full((4 + index, 16, 16, 3), 200 * label, np.uint8)
                frames[:, :, :, 0] += np.arange(4 + index, dtype=np.uint8)[:, None, None]
                yield index, {"video": frames, "label": label}

    builder = TinyActions(data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    source = _load(f"tfds:{builder.data_dir}", tmp_path)
    assert source.catalogue.classes == ("Dark", "Light")
    videos = source.catalogue.videos
    sides = sorted(v.splits.get("1", "") for v in videos)
    assert sides == ["", "test", "test", "train", "train", "train", "val"]
    assert all(v.ungrouped for v in videos)
    for listed in videos:
        frames = list(video.read_frames(listed.path))
        assert frames[0].tolist() == np.full((16, 16, 3), 200 * listed.label).tolist()
        assert frames[-1][0, 0].tolist() == [
            200 * listed.label + len(frames) - 1,
            *[200 * listed.label] * 2,
        ]
    assert _load(f"tfds:{builder.data_dir}", tmp_path) == source
    with pytest.raises(UserError, match="tensorflow_datasets cannot prepare no_such_set"):
        _load("tfds:no_such_set", tmp_path)
