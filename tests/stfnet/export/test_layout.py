"""The folder of an export; what is written into one is tested beside its format."""

import pytest

from preprocessing.errors import UserError
from stfnet.export import layout


def test_what_a_folder_holds_is_known_by_its_main_file(tmp_path):
    kinds = (layout.is_export, layout.is_foreign, layout.is_head)
    assert [of_kind(tmp_path) for of_kind in kinds] == [False] * 3
    for file, expected in (
        (layout.HEAD_FILE, [False, False, True]),
        (layout.ONNX_FILE, [False, True, True]),
        (layout.SAVED_MODEL, [True, True, True]),
    ):
        (tmp_path / file).touch()
        assert [of_kind(tmp_path) for of_kind in kinds] == expected


def test_a_changed_and_a_missing_file_are_named(tmp_path, run_config):
    with layout.writing(tmp_path / "export") as folder:
        (folder / layout.ONNX_FILE).write_bytes(b"network")
        layout.write_facts(folder, run_config)
    layout.check_sums(tmp_path / "export", layout.ONNX_FILE)
    (tmp_path / "export" / layout.ONNX_FILE).write_bytes(b"Network")
    with pytest.raises(UserError, match=r"network\.onnx is damaged"):
        layout.check_sums(tmp_path / "export", layout.ONNX_FILE)
    (tmp_path / "export" / layout.ONNX_FILE).unlink()
    with pytest.raises(UserError, match=r"network\.onnx is missing"):
        layout.check_sums(tmp_path / "export", layout.ONNX_FILE)


def test_a_full_disk_is_told_before_the_work(tmp_path):
    with pytest.raises(UserError, match=r"MB are free, and the export needs 1000000000\.0 MB"):
        layout.check_room(tmp_path / "new", 10**15)


@pytest.fixture
def run_config():
    from stfnet.config import TrainingConfig
    from stfnet.networks import ModelConfig
    from stfnet.run.config import RunConfig

    return RunConfig("squares", ("Left", "Right"), ModelConfig(2), TrainingConfig())
