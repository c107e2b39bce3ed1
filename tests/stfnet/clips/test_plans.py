"""Plans of clips: pure data, against cases worked by hand."""

import dataclasses
import types

import numpy as np
import pytest

from preprocessing.errors import UserError
from preprocessing.records import grid
from stfnet import ClipConfig
from stfnet.clips import plans
from stfnet.config import TrainingConfig

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


def test_an_epoch_is_fixed_by_its_seed_stage_and_number(tiny_records, config):
    positions = np.arange(20)

    def plan(stage, epoch, seed=0):
        training = dataclasses.replace(config.training, seed=seed)
        return plans.plan_training(tiny_records, positions, CLIP, training, stage, epoch)

    first, again = plan(0, 3), plan(0, 3)
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert sorted(first.video) == positions.tolist()
    for other in (plan(0, 4), plan(1, 3), plan(0, 3, seed=1)):
        assert (other.video != first.video).any()
        assert (other.frames != first.frames).any()


def test_balanced_epochs_draw_every_class_equally(tiny_records, config):
    labels = np.array([video.label for video in tiny_records.videos])
    positions = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:2]])
    training = dataclasses.replace(config.training, balanced=True, batch_size=1)
    plan = plans.plan_training(tiny_records, positions, CLIP, training, 0, 0)
    assert np.bincount(labels[plan.video]).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (lambda names: (*names[1:], "Other"), r"only the records have {0}; only the model has Ot"),
        (lambda names: names[::-1], "trained on: they stand in another order"),
        (lambda names: names[:2], "its 3 classes are not the 2 .*: only the records have {2}"),
    ],
)
def test_classes_that_differ_are_named(tiny_records, config, classes, message):
    names = tuple(tiny_records.classes)
    model = dataclasses.replace(config.model, num_classes=len(classes(names)))
    other = dataclasses.replace(config, classes=classes(names), model=model)
    with pytest.raises(UserError, match=message.format(*names)):
        plans.check_records(tiny_records, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 64}, "image_size=32, but the model has clip.image_size=64.*another folder"),
        ({"flow_bound": 15.0}, "flow_bound=20.0"),
    ],
)
def test_records_of_another_clip_are_refused(tiny_records, config, changes, message):
    clip = dataclasses.replace(CLIP, **changes)
    model = dataclasses.replace(config.model, clip=clip)
    with pytest.raises(UserError, match=message):
        plans.check_records(tiny_records, dataclasses.replace(config, model=model))


def test_records_serve_every_length_of_clips_and_of_stacks(tiny_records, config):
    for changes in ({"num_frames": 50}, {"flow_length": 1}, {"flow_length": 9}):
        model = dataclasses.replace(config.model, clip=dataclasses.replace(CLIP, **changes))
        plans.check_records(tiny_records, dataclasses.replace(config, model=model))


def test_videos_shorter_than_a_clip_are_told():
    record_set, positions = _record_set(2, 3, 5, 4), np.array([0, 1, 3])
    assert plans.short_videos(record_set, positions, CLIP) == [
        "1 of 3 videos have fewer frames than the T=3 of a clip: clip.short_video=pad_last says "
        "how they are read"
    ]
    assert plans.short_videos(record_set, positions[1:], CLIP) == []


def _record_set(*lengths, grid=0, flow_length=4):
    """What a plan reads of a record set: videos of these numbers of frames, all of one class."""
    videos = [types.SimpleNamespace(id=f"v{n}", label=0, num_frames=n) for n in lengths]
    clip = {"frame_grid": grid, "flow_length": flow_length}
    return types.SimpleNamespace(videos=videos, clip=clip)


@pytest.mark.parametrize(
    ("frame_grid", "flow_length", "message"),
    [
        (0, 2, "hold 3 frames of each video, and training.frame_grid=0 reads all.*frame_grid=3"),
        (5, 2, "hold 3 frames of each video, and training.frame_grid=5 reads 5.*--frame_grid=5"),
        (3, 4, "stacks of up to 2 fields.*clip.flow_length=4.*--frame_grid=3 --flow_length=4"),
    ],
)
def test_records_of_a_grid_serve_that_grid_and_shorter_stacks(
    grid_records, config, frame_grid, flow_length, message
):
    def run_config(grid, length, num_frames=3):
        clip = dataclasses.replace(CLIP, flow_length=length, num_frames=num_frames)
        training = dataclasses.replace(config.training, frame_grid=grid)
        model = dataclasses.replace(config.model, clip=clip)
        return dataclasses.replace(config, training=training, model=model)

    for length in (1, 2):
        plans.check_records(grid_records, run_config(3, length, num_frames=5))
    with pytest.raises(UserError, match=message) as caught:
        plans.check_records(grid_records, run_config(frame_grid, flow_length))
    assert "\n" not in str(caught.value)


def test_of_records_with_a_grid_every_plan_reads_stored_frames_and_fields():
    record_set = _record_set(58, 3, grid=4)
    clip = dataclasses.replace(CLIP, num_frames=5)
    positions = np.array([0, 1])
    training = TrainingConfig(batch_size=2, frame_grid=4, clips_per_video=20)
    for plan in (
        plans.plan_evaluation(record_set, positions, clip, 1),
        plans.plan_evaluation(record_set, positions, clip, 1, clips_per_video=3),
        plans.plan_training(record_set, positions, clip, training, 0, 0),
    ):
        for position, count in enumerate((58, 3)):
            rows = plan[plan.video == position]
            frames, fields = grid.stored(count, 4, clip.flow_length)
            assert np.isin(rows.frames, frames).all() and np.isin(rows.flow, fields).all()
    one = plans.plan_evaluation(record_set, positions[:1], clip, 1)
    assert one.frames.tolist() == [[0, 19, 19, 38, 38]]  # of 0, 11, 22, 33, 44


def test_the_plan_of_an_evaluation_is_equations_13_and_14_filled_to_whole_batches():
    plan = plans.plan_evaluation(_record_set(9, 3, 2), np.array([0, 1, 2]), CLIP, batch_size=2)
    assert plan.video.tolist() == [0, 1, 2, 2]
    assert plan.frames.tolist() == [[0, 3, 6], [0, 1, 2], [0, 1, 1], [0, 1, 1]]
    assert plan.flow[0].tolist() == [[0, 0, 0, 1], [1, 2, 3, 4], [4, 5, 6, 7]]
    assert plan.weight.tolist() == [1, 1, 1, 0]
    assert not plan.flip.any() and (plan.crop == [0, 0, 1]).all()


def test_several_clips_of_a_video_are_neighbours_and_start_evenly():
    record_set = _record_set(9, 3)
    plan = plans.plan_evaluation(record_set, np.array([1, 0]), CLIP, 4, clips_per_video=3)
    assert plan.video.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert plan.frames[:3].tolist() == [[0, 1, 2]] * 3
    assert plan.frames[3:6].tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert plan.flow[4].tolist() == [[0, 0, 1, 2], [2, 3, 4, 5], [5, 6, 7, 7]]
    assert plan.weight.tolist() == [1] * 6 + [0] * 2


def test_an_epoch_has_whole_batches_and_at_least_one():
    record_set = _record_set(*range(10, 17))
    for size, clips in ((3, 6), (7, 7), (8, 8)):  # 7 videos
        training = TrainingConfig(batch_size=size)
        plan = plans.plan_training(record_set, np.arange(7), CLIP, training, 0, 0)
        assert len(plan) == clips
        assert len(set(plan.video)) == min(size // 7 * 7 or clips, 7)


def test_every_video_gives_as_many_clips_as_asked_for():
    training = TrainingConfig(batch_size=1, clips_per_video=3)
    plan = plans.plan_training(_record_set(20, 30), np.arange(2), CLIP, training, 0, 0)
    assert np.bincount(plan.video).tolist() == [3, 3]


def test_rows_of_a_plan_are_a_plan():
    plan = plans.plan_evaluation(_record_set(9, 3, 2), np.array([0, 1, 2]), CLIP, batch_size=1)
    rows = plan[np.array([2, 0])]
    assert len(rows) == 2 and rows.video.tolist() == [2, 0]
    np.testing.assert_array_equal(rows.flow, plan.flow[[2, 0]])


def test_crops_stay_inside_the_image_and_are_not_too_small():
    training = TrainingConfig(clips_per_video=500, augmentation="flip_crop")
    plan = plans.plan_training(_record_set(20), np.arange(1), CLIP, training, 0, 0)
    corner, side = plan.crop[:, :2], plan.crop[:, 2:]
    assert (corner >= 0).all() and (corner + side <= 1 + 1e-6).all()
    assert 0.75 <= side.min() < 0.76 and 0.99 < side.max() <= 1
    assert 200 < plan.flip.sum() < 300


def test_a_video_that_is_too_short_is_named():
    clip = dataclasses.replace(CLIP, short_video="error")
    with pytest.raises(UserError, match=r"^v2: a video of 2 frames is shorter than the 3"):
        plans.plan_evaluation(_record_set(9, 2), np.array([0, 1]), clip, 1)


def test_clips_of_a_grid_have_its_frames_alone(tiny_records):
    clip = ClipConfig(num_frames=3, flow_length=2, image_size=32)
    training = TrainingConfig(tau_range=(1, 3), batch_size=4, frame_grid=4)
    positions = np.arange(len(tiny_records.videos))
    for plan in (
        plans.plan_training(tiny_records, positions, clip, training, 0, 0),
        plans.plan_evaluation(tiny_records, positions, clip, 4, 2, 4),
    ):
        for video, frames in zip(plan.video, plan.frames, strict=True):
            count = tiny_records.videos[video].num_frames
            assert set(frames) <= set(np.rint(np.linspace(0, count - 1, 4)))


def test_a_rare_class_has_the_heavier_loss(tiny_records):
    labels = np.array([video.label for video in tiny_records.videos])
    # Three videos of the first class, one of the second, none of the third.
    positions = np.concatenate([np.flatnonzero(labels == 0)[:3], np.flatnonzero(labels == 1)[:1]])
    weights = plans.class_weights(tiny_records, positions)
    np.testing.assert_allclose(weights, [4 / (2 * 3), 4 / 2, 0])
    clip = ClipConfig(num_frames=3, flow_length=2, image_size=32)
    training = TrainingConfig(tau_range=(1, 3), batch_size=4, class_weighted=True)
    plan = plans.plan_training(tiny_records, positions, clip, training, 0, 0)
    np.testing.assert_allclose(plan.weight, weights[labels[plan.video]], rtol=1e-6)
    assert plan.weight.mean() == pytest.approx(1)
