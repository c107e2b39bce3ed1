import base64
import dataclasses

import cv2
import keras
import numpy as np
import pytest
from helpers import run_config

from preprocessing import flow, records
from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet, run
from stfnet.clips import input_pipeline, plans
from stfnet.explanation import attribution, pictures
from stfnet.report import report_examples
from stfnet.report.report_examples import FOOT, HEAD, SIDE, Example

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
MODEL = ModelConfig(3, CLIP, width_divisor=16, fc6_units=8, lstm_units=4)
WRONG = Example("unknown", "Left", "Right", 0.75, 0.25)


def _bytes(address):
    return base64.b64decode(address.partition(",")[2])


def _of(name):
    return dataclasses.replace(WRONG, name=name)


def _written(film, tmp_path):
    path = tmp_path / "film.webm"
    path.write_bytes(_bytes(film.film))
    return path


def test_a_film_shows_the_sampled_frames_beside_their_flow(read_film, tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records)
    moving = next(v for v in tiny_records.videos if v.class_name == "Right")
    (film,) = report_examples.films(tiny_records, config, [_of(moving.id)])
    frames, fps, codec = read_film(_written(film, tmp_path))
    assert film.name == moving.id and film.film.startswith("data:video/webm")
    assert frames.shape == (3, HEAD + SIDE + FOOT, 2 * SIDE, 3) == (3, film.height, film.width, 3)
    assert (fps, codec) == (report_examples.FPS, b"VP80")
    poster = cv2.imdecode(np.frombuffer(_bytes(film.poster), np.uint8), cv2.IMREAD_COLOR)
    assert poster.shape == frames.shape[1:]
    # The frames of the record at the places of Eqs. 13-14 for 3 of its frames.
    example = records.read_video(tiny_records, moving)
    interval = moving.num_frames // 3
    for t in range(3):
        stored = records.decode_frame(example["frames"][t * interval])
        expected = cv2.resize(stored, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        shown = frames[t, HEAD : HEAD + SIDE, :SIDE].astype(int)
        assert np.abs(shown - expected).mean() < 6
    # A square that moves right is red in the colours of the flow.
    field = frames[0, HEAD : HEAD + SIDE, SIDE:].astype(int)
    red = (field[..., 0] - field[..., 1:].max(-1)) > 80
    assert red.mean() > 0.05


def _drawn(example, cam=None):
    rgb = np.zeros((2, 32, 32, 3), np.uint8)
    still = flow.encode(np.zeros((2, 4, 2, 32, 32), np.float32), CLIP.flow_bound)
    return report_examples.draw(rgb, still, CLIP, example, cam)


def test_truth_and_answer_are_written_above_and_the_answer_in_its_colour():
    wrong, right = (_drawn(Example("a", "Left", name, 0.5, 0.5))[0] for name in ("Right", "Left"))

    def of_color(picture, color):
        return (np.abs(picture[:HEAD].astype(int) - color).max(-1) < 30).sum()

    assert of_color(wrong, report_examples.BAD) > 100 and not of_color(wrong, report_examples.GOOD)
    assert of_color(right, report_examples.GOOD) > 100 and not of_color(right, report_examples.BAD)
    other_truth = _drawn(Example("a", "Still", "Right", 0.5, 0.5))[0]
    assert (other_truth[: HEAD // 2] != wrong[: HEAD // 2]).any()
    np.testing.assert_array_equal(other_truth[HEAD // 2 :], wrong[HEAD // 2 :])


def test_a_third_picture_shows_grad_cam_on_one_scale():
    cam = np.zeros((2, 2, 2), np.float32)
    cam[0, 0, 1], cam[1, 0, 1] = 2, 1
    frames = _drawn(WRONG, cam)
    assert frames.shape == (2, HEAD + SIDE + FOOT, 3 * SIDE, 3)
    corners = frames[:, HEAD + 10, 3 * SIDE - 10].astype(int).sum(-1)
    assert corners[0] > corners[1] + 100 > 200
    assert frames[0, HEAD + SIDE - 10, 2 * SIDE + 10].max() < 10


def test_names_that_are_long_or_no_letters_are_drawn():
    frames = _drawn(Example("a", "x" * 500, "<b>\n日本\x00", 1.0, 0.0))
    assert frames[0, :HEAD].max() > 200


def test_with_a_network_the_answer_is_explained(read_film, tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records)
    keras.utils.set_random_seed(3)
    network = build_stfnet(config.model)
    kernel = network.get_layer("logits").kernel
    a, b, _ = kernel.numpy().T
    kernel.assign(np.stack([a, b, -b], axis=1))  # what speaks for one class speaks against another
    name = tiny_records.videos[0].id
    known = Example(name, "Left", tiny_records.classes[1], 0.5, 0.5)
    (film,) = report_examples.films(tiny_records, config, [known, WRONG], network)
    shown = read_film(_written(film, tmp_path))[0][:, HEAD : HEAD + SIDE, 2 * SIDE :].astype(int)
    plan = plans.plan_evaluation(tiny_records, np.array([0]), CLIP, 1)
    (batch,) = input_pipeline.clip_dataset(tiny_records, plan, CLIP, 1)
    inputs = input_pipeline.network_inputs(batch)
    fused = attribution.fuse(network, {name: inputs[name][0] for name in network.input})
    distances = []
    for target in range(3):
        cam = attribution.grad_cam(network, fused, target)
        expected = [
            pictures.overlay(frame, one, cam.max(), SIDE, SIDE)
            for frame, one in zip(batch["rgb"][0].numpy(), cam, strict=True)
        ]
        distances.append(np.abs(shown - np.stack(expected).astype(int)).mean())
    assert distances[1] < 8 < min(distances[0], distances[2])


def test_records_of_another_size_are_refused(tiny_records):
    clip = dataclasses.replace(CLIP, image_size=48)
    config = run_config(dataclasses.replace(MODEL, clip=clip), tiny_records)
    with pytest.raises(UserError, match="48"):
        list(report_examples.films(tiny_records, config, [_of(tiny_records.videos[0].id)]))
    assert not list(report_examples.films(tiny_records, config, [WRONG]))


def _rows(*answers):
    return [
        {"class": truth, "predicted": predicted, "probability": p, "probability_of_class": given}
        for truth, predicted, p, given in answers
    ]


def test_the_most_wrong_come_first_and_one_success_of_each_class():
    rows = _rows(
        ("A", "B", "0.9", "0.1"),
        ("A", "A", "0.7", "0.7"),
        ("A", "A", "0.9", "0.9"),
        ("B", "A", "0.5", "0.01"),  # less sure, but further from the truth
        ("B", "B", "0.5", "0.5"),
        ("C", "C", "0.6", "0.6"),
    )
    wrong, right = report_examples.choose_examples(rows, 8)
    assert wrong == [rows[3], rows[0]]
    assert right == [rows[2], rows[5], rows[4]]
    assert report_examples.choose_examples(rows, 3) == ([rows[3], rows[0]], [rows[2]])
    assert report_examples.choose_examples(rows, 1) == ([rows[3]], [])
    assert report_examples.choose_examples(rows, 0) == ([], [])


def test_a_prediction_that_is_none_is_refused(evaluated):
    (evaluated / "predictions.csv").write_text("video,class,predicted\nv,A,B\n")
    with pytest.raises(UserError, match=r"predictions\.csv has a row that is no prediction"):
        report_examples.read_examples(evaluated, 8)


def test_a_video_whose_file_has_changed_gets_no_film(evaluated, tiny_records):
    """The answer was to another file."""
    wrong, right = report_examples.read_examples(evaluated, 8)
    changed, gone, *rest = (one.name for one in (*wrong, *right))
    videos = [
        dataclasses.replace(video, source_sha256="0" * 64) if video.id == changed else video
        for video in tiny_records.videos
        if video.id != gone
    ]
    other = dataclasses.replace(tiny_records, videos=tuple(videos))
    config = run.read_config(evaluated)
    examples = report_examples.with_films([*wrong, *right], evaluated, other, config, None)
    filmed = {one.name: bool(one.film) for one in examples}
    assert filmed == {changed: False, gone: False} | dict.fromkeys(rest, True)
    for one in examples[:2]:
        assert one.missing == "the records do not have the video that was tested"
