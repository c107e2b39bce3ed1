import types

import cv2
import numpy as np

from experiments.benchmarks import input_measurements
from preprocessing import records


def test_the_images_of_a_clip_are_its_frames_and_then_its_fields(tiny_records):
    plan = types.SimpleNamespace(
        video=[1], frames=[np.array([0, 3])], flow=[np.array([[0, 1], [2, 3]])]
    )
    (clip,) = input_measurements.clip_images(tiny_records, plan)
    video = tiny_records.videos[1]
    stored = records.read_video(tiny_records, video)
    assert clip == [stored["frames"][0], stored["frames"][3], *stored["flow"][:4]]


def test_every_layout_holds_the_same_fields():
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    x, y = np.meshgrid(ramp, ramp)
    planes = np.stack([[x, y], [255 - x, y]])
    above, apart, colours, stack = input_measurements.layouts(planes).values()

    def decode(jpegs, mode=cv2.IMREAD_GRAYSCALE):
        return [cv2.imdecode(np.frombuffer(jpeg, np.uint8), mode) for jpeg in jpegs]

    assert [len(jpegs) for jpegs in (above, apart, colours, stack)] == [2, 4, 2, 1]
    for decoded in (
        np.stack(decode(above)).reshape(planes.shape),
        np.stack(decode(apart)).reshape(planes.shape),
        np.stack(decode(colours, cv2.IMREAD_COLOR))[..., :2].transpose(0, 3, 1, 2),
        np.stack(decode(stack)).reshape(planes.shape),
    ):
        assert np.abs(decoded.astype(int) - planes).mean() < 4
