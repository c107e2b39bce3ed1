"""The programs that are killed: what counts as complete, and what is put in their way."""

import numpy as np
import pytest

from experiments.benchmarks.faults import programs
from preprocessing.errors import UserError


def test_a_finished_preparation_has_every_video(tiny_records, tmp_path):
    (tmp_path / "records").symlink_to(tiny_records.folder)
    complete = programs.Prepare(None).finished(tmp_path)
    assert complete == dict.fromkeys((video.id for video in tiny_records.videos), "done")


def test_a_video_that_is_done_is_emptied_before_the_command_is_repeated(tmp_path):
    references = programs.References(tmp_path / "references")
    prepare = references.program("prepare")
    prepare.begin(tmp_path / "round")
    prepare.before_repeat(tmp_path / "round", {"v_Right_g01_c01": "done"})
    sizes = {path.stem: path.stat().st_size for path in (tmp_path / "round").rglob("*.mp4")}
    assert [name for name, size in sizes.items() if not size] == ["v_Right_g01_c01"]
    assert len(sizes) == 3 * len(programs.GROUPS)


def test_an_epoch_of_a_checkpoint_without_its_network_is_lost(tmp_path):
    from stfnet.run import checkpoints

    folder = tmp_path / "run" / "checkpoints"
    state = {"best": {"stage": 1}, "history": [{"loss": 1.0}]}
    train = programs.Train(None)
    assert train.finished(tmp_path) == {}
    checkpoints.save(folder, 1, {"weight": np.zeros(2)}, {**state, "best": None})
    assert train.finished(tmp_path) == {"epoch 1": {"loss": 1.0}}
    checkpoints.save(folder, 2, {"weight": np.zeros(2)}, state)
    with pytest.raises(UserError, match=r"best.keras is missing"):
        train.finished(tmp_path)


def test_a_missing_export_is_lost(tmp_path):
    with pytest.raises(UserError, match="the export is missing"):
        programs.Export(None, None).finished(tmp_path)


def test_every_command_is_a_program_with_its_own_folder(tmp_path):
    for killed in (
        programs.Prepare(tmp_path),
        programs.Train(tmp_path),
        programs.Evaluate(tmp_path, tmp_path),
        programs.Export(tmp_path, tmp_path),
    ):
        command = killed.command(tmp_path / "round")
        assert command[:2] == ["-m", f"experiments.{killed.name}"]
        assert any(str(tmp_path / "round") in argument for argument in command)


def test_a_random_clip_has_the_shape_of_the_networks_input(tiny_run):
    from stfnet.inference import prediction

    model, config = prediction.load_run(tiny_run)
    clip = programs.random_clip(config)
    assert clip["rgb"].shape == (1, 3, 32, 32, 3) and clip["flow"].shape == (1, 3, 32, 32, 8)
    assert model.predict_on_batch(clip).shape == (1, 3)
