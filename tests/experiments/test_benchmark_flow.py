import numpy as np
import pytest

from experiments import benchmark_flow


def test_each_solver_has_a_row_and_the_ratio_is_to_opencv_on_one_core():
    frames = benchmark_flow.moving_textures(4, 24)
    assert frames.dtype == np.uint8 and frames.shape == (4, 24, 24)
    assert frames[0].std() > 20 and (frames[0] != frames[1]).mean() > 0.5
    rows = benchmark_flow.flow(frames, batches=[2], backends=["tensorflow"])
    solvers = [(row["solver"], row["batch"]) for row in rows]
    assert solvers[0] == ("opencv", 1) and solvers[-1] == ("keras (tensorflow)", 2)
    for row in rows:
        assert row["pairs_per_second"] > 0
        ratio = row["pairs_per_second"] / rows[0]["pairs_per_second"]
        assert row["ratio"] == pytest.approx(ratio)
    # The second call is the timed one: it does not compile.
    keras = rows[-1]
    assert keras["first_seconds"] > 2 * len(frames) / keras["pairs_per_second"]
    lines = benchmark_flow.table(rows).splitlines()
    assert len(lines) >= len(rows) + 1
    assert "keras (tensorflow)" in lines[len(rows)]
