from experiments.benchmarks.faults.tally import Tally, table


def test_the_table_has_a_row_for_each_tally():
    good, bad = Tally("train", seconds=61.4), Tally("records")
    for number in range(11):
        good.add("survived", f"round {number}")
    bad.add("wrong", "metadata.json 3", "read as if\nit were whole")
    assert good.clean and not bad.clean
    assert bad.notes == ["records metadata.json 3 wrong: read as if it were whole"]
    assert table([good, bad]).splitlines() == [
        "         tried  survived  lost  wrong  failed  seconds",
        "train       11        11     0      0       0       61",
        "records      1         0     0      1       0        0",
    ]
