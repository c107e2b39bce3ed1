import numpy as np
import pytest

from experiments.benchmarks.faults import videos


def test_a_damaged_video_is_a_record_or_a_named_failure():
    named = {"outcome": "corrupt", "reason": "it is no video"}
    raised = {"outcome": "error", "reason": "TypeError: NoneType"}
    judge = videos.judge
    assert judge("a", {"a": named}, {"b"})[0] == "survived"
    assert judge("b", {"a": named}, {"b"})[0] == "survived"
    assert judge("a", {"a": raised}, set()) == ("lost", "TypeError: NoneType")
    assert judge("c", {"a": named}, {"b"})[0] == "lost"


@pytest.mark.slow
def test_whole_videos_keep_their_records_among_damaged_ones(tmp_path):
    tally = videos.damage_videos(tmp_path, count=5, seed=0)
    assert tally.clean and sum(tally.counts.values()) == 5


def test_every_format_has_the_same_frames(tmp_path):
    from preprocessing import video

    films = [
        np.stack(list(video.read_frames(path))).astype(int)
        for path in videos._write_formats(tmp_path / "class")
    ]
    assert len(films) == len(videos.FORMATS)
    for film in films:
        assert film.shape == (9, 48, 64, 3) and np.abs(film - films[0]).mean() < 8
