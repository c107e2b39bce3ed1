import pytest

from preprocessing.datasets import load


@pytest.fixture
def touch(tmp_path):
    """Function of paths, absolute or in the folder `own`, that makes empty files; returns `own`."""

    def touch(*names):
        own = tmp_path / "own"
        for name in names:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(b"")
        return own

    return touch


@pytest.fixture
def load_source(tmp_path):
    """Function of a `--source` that loads it; videos are written to the folder `videos`."""

    def load_source(source):
        return load.load(
            source, tmp_path / "videos", seed=0, groups=1, clips_per_group=1, workers=2
        )

    return load_source
