from experiments.benchmarks import preparation


def test_the_table_sets_each_figure_beside_its_target():
    figures = {
        **{"pairs": 64, "size": 224, "workers": 3, "cores": 2, "fast_speedup": 7.1},
        **{"bare_seconds": 40.0, "bare_together_seconds": 20.0, "reference_seconds": 22.0},
        **{"ratio": 1.1, "together_ratio": 1.1, "processor_ratio": 0.94, "fast_seconds": 4.0},
        **{"reference_ending_seconds": 0.4, "fast_agreement": 0.9993, "moving_pixels": 0.01},
        "self_agreement": 0.9829,
        "megabytes": [[27_000, 254.4]],
    }
    lines = preparation.table(figures).splitlines()
    assert lines[0] == "64 pairs at 224 x 224, 2 cores"
    assert "| bare OpenCV TV-L1 loop, one core | 40.0 s, 1.60 pairs/s |  |" in lines
    assert (
        "| preparation, 3 workers, `--flow_quality=reference` | 22.0 s, 2.91 pairs/s; 1.10 x bare "
        "loop / 2 | at most 1.1 |" in lines
    )
    assert (
        "| fast flow within one level of the reference | 99.93 % (1 % of the pixels move) "
        "| at least 99 % |" in lines
    )
    assert "| the reference itself, a frame brighter by a millionth | 98.29 % |  |" in lines
    last = "| peak memory of a worker, 1080p, 27,000 frames | 254 MB | below 500 MB |"
    assert lines[-1] == last
