from experiments.benchmarks import flow
from experiments.benchmarks.flow_measurements import Speed


def test_the_table_has_a_row_for_each_solver():
    rows = [
        Speed("opencv", "cpu, 1 core", 1, 2.0, 1.0),
        Speed("keras (jax)", "cpu, 2 cores", 8, 6.08, 3.04, 17.25, 2800.4),
    ]
    head, opencv, keras, note = flow.table(rows).splitlines()
    assert head.split()[:4] == ["solver", "device", "batch", "pairs/s"]
    assert opencv.split() == ["opencv", "cpu,", "1", "core", "1", "2.00", "1.00", "-", "-"]
    assert keras.split()[-5:] == ["8", "6.08", "3.04", "17.2", "2800"]
    assert note.startswith("No Keras backend sees a GPU here")
