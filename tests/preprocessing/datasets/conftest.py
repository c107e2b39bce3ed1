import pytest


@pytest.fixture
def touch(tmp_path):
    """Function of names of files in a folder that makes them, empty; returns the folder."""

    def touch(*names):
        for name in names:
            path = tmp_path / "own" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return tmp_path / "own"

    return touch
