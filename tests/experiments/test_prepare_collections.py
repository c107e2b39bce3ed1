"""Miniatures of the collections, in their own layouts and formats, through the whole program.

What is read from the layouts is tested in tests/preprocessing/datasets.
"""

import cv2
import numpy as np
import pytest

from benchmarks import films
from preprocessing import records

pytestmark = pytest.mark.slow

NUM_FRAMES = (3, 4, 5, 6)  # of the four clips of each miniature


def _frames(index):
    """Noise that moves to the right: the frames of clip number `index`."""
    noise = np.random.default_rng(index).integers(0, 255, (24, 64, 3), np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return [
        np.ascontiguousarray(noise[:, 20 - 2 * k : 52 - 2 * k]) for k in range(NUM_FRAMES[index])
    ]


def _films(root, names, codec):
    for index, name in enumerate(names):
        films.write_video(root / name, _frames(index), codec, 25)


def _ucf101(root):
    clips = [f"{c}/v_{c}_g{g:02d}_c01.avi" for c in ("Archery", "Bowling") for g in (1, 2)]
    _films(root / "UCF-101", clips, "XVID")
    (root / "trainlist01.txt").write_text(f"{clips[0]} 1\n{clips[2]} 2\n")
    (root / "testlist01.txt").write_text(f"{clips[1]}\n{clips[3]}\n")
    return f"ucf101:{root}"


def _ucf11(root):
    clips = [f"walking/v_walk_{g:02d}/v_walk_{g:02d}_01.mpg" for g in (1, 25)]
    clips += [f"swing/v_swing_{g:02d}/v_swing_{g:02d}_01.mpg" for g in (1, 25)]
    _films(root, clips, "mpg1")
    return f"ucf11:{root}"


def _ucf_sports(root):
    """Films, and folders of images as the collection has them where no film was kept."""
    _films(root, [f"{c}/001/film.avi" for c in ("Walk-Front", "Golf-Swing-Back")], "MJPG")
    for index, clip in ((2, "Walk-Front/002"), (3, "Golf-Swing-Side/001")):
        (root / clip / "jpeg").mkdir(parents=True)
        for number, frame in enumerate(_frames(index)):
            cv2.imwrite(str(root / clip / "jpeg" / f"{number:04d}.jpg"), frame)
    return f"ucf_sports:{root}"


def _hmdb51(root):
    for index, (action, film) in enumerate(
        (action, film) for action in ("brush_hair", "kick_ball") for film in ("April", "Wanted")
    ):
        name = f"{film}_{action}_f_nm_np1_ba_goo_0.avi"
        films.write_video(root / action / name, _frames(index), "MJPG", 25)
        with (root / f"{action}_test_split1.txt").open("a") as file:
            file.write(f"{name} {1 + (film == 'Wanted')} \n")
    return f"hmdb51:{root}"


def _list(root):
    _films(root / "videos", [f"{index}.mp4" for index in range(4)], "mp4v")
    (root / "train.txt").write_text("0.mp4 0\n1.mp4 1\n")
    (root / "val.txt").write_text("2.mp4 0\n3.mp4 1\n")
    return f"list:{root / 'train.txt'},{root / 'val.txt'}"


def _tfds(root):
    tfds = pytest.importorskip("tensorflow_datasets")

    class Drifts(tfds.core.GeneratorBasedBuilder):
        """Moving noise in a class by the parity of the clip's number."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "video": tfds.features.Video(shape=(None, 24, 32, 3)),
                "label": tfds.features.ClassLabel(names=["Even", "Odd"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples((0, 1)),
                "test": self._generate_examples((2, 3)),
            }

        def _generate_examples(self, numbers):
            for index in numbers:
                yield index, {"video": np.stack(_frames(index)), "label": index % 2}

    builder = Drifts(data_dir=root)
    builder.download_and_prepare()
    return f"tfds:{builder.data_dir}"


@pytest.mark.parametrize(
    ("write", "line", "classes"),
    [
        (_ucf101, "ucf101: 4 clips found, 13320 published", ("Archery", "Bowling")),
        (_ucf11, "ucf11: 4 clips found, 1600 published", ("swing", "walking")),
        (_ucf_sports, "ucf_sports: 4 clips found, 150 published", ("Golf-Swing", "Walk")),
        (_hmdb51, "hmdb51: 4 clips found, 6766 published", ("brush_hair", "kick_ball")),
        (_list, "train+val: 4 videos of 2 classes", ("0", "1")),
        (_tfds, "drifts: 4 videos of 2 classes", ("Even", "Odd")),
    ],
)
def test_a_source_becomes_records_that_are_whole(run_program, tmp_path, write, line, classes):
    output = tmp_path / "records"
    made = run_program(
        "prepare", f"--source={write(tmp_path / 'set')}", f"--output={output}", "--image_size=16"
    )
    assert made.returncode == 0, made.stderr
    assert line in made.stdout and "missing:" not in made.stdout
    verified = run_program("prepare", f"--verify={output}")
    assert "4 videos read back, all whole" in verified.stdout, verified.stderr
    record_set = records.load_record_set(output)
    assert record_set.classes == classes
    # The header of an mpg only guesses; these were counted.
    assert sorted(video.num_frames for video in record_set.videos) == list(NUM_FRAMES)
    # Films and folders of images hold the same motion: 2 of 32 pixels, in 16 one.
    assert all(video.mean_motion > 0.3 for video in record_set.videos)
