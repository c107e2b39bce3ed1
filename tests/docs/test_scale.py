"""The figures of docs/reference/scale.md follow from its inputs, which are those of other pages."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import read_csv

from experiments.configs import paper
from preprocessing.preparation import layout

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "scale.md").read_text(encoding="utf-8")
PERFORMANCE = (DOCS / "performance.md").read_text(encoding="utf-8")
GRID = 16  # frames
HOUR = 3600


def _table(heading):
    """First cell of a row -> its other cells, of the table of the page that begins so."""
    _, _, below = PAGE.partition(f"\n| {heading} |")
    rows = [line.strip("| ").split(" | ") for line in below.partition("\n\n")[0].splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def _inputs():
    """The numbers of each row of the table of inputs."""
    for value, _ in _table("input").values():
        yield [float(number.replace(",", "")) for number in value.split("; ")]


(
    UCF101,
    KINETICS,
    (FAST, REFERENCE, FLOW_GPU),  # pairs/s
    (GRID_FIELDS,),
    (DECODING_MS, FRAME_BYTES, FIELD_BYTES),
    (CLIP_MB, CLIP_MS, TWO_THREADS),
    (TRAINED,),  # clips/s of a GPU
    (EPOCH_CLIPS, EPOCHS),
    (PARAMETERS, OF_STREAMS),  # millions
    (MULTIPLY_ADDS, PEAK),
    (NVLINK, INFINIBAND, ETHERNET, PCIE, NVME),  # GB/s
    (CORES,),
    (SHARD_VIDEOS, UCF101_SHARDS, KINETICS_SHARDS),
) = _inputs()
# Of each data set: clips, frames of a clip, shards.
SETS = {
    "UCF101": (UCF101[0], HOUR * UCF101[1] * UCF101[2] / UCF101[0], UCF101_SHARDS),
    "Kinetics-400": (KINETICS[0], KINETICS[1] * KINETICS[2], KINETICS_SHARDS),
}
# Columns of the table of training: GPUs, GB/s by which each sends. A ring of all GPUs leaves each
# machine once, so the eight of a machine share its Ethernet.
SCALES = [(1, math.inf), (8, NVLINK), (64, INFINIBAND), (64, ETHERNET)]


def _record_bytes(frames):
    return frames * FRAME_BYTES + (frames - 1) * FIELD_BYTES


def _preparing(name):
    """What each row of the table says of a data set."""
    clips, frames, shards = SETS[name]
    pairs = clips * (frames - 1)
    decoding = clips * frames * DECODING_MS / 1e3 / HOUR  # core hours
    reference, fast = (pairs / rate / HOUR for rate in (REFERENCE, FAST))
    grid_bytes = GRID * FRAME_BYTES + GRID_FIELDS * FIELD_BYTES
    map_bytes = 2 * GRID * 14 * 14 * 512 * 2  # conv5_3 of both streams in float16
    whole = clips * _record_bytes(frames)

    def beam(cores):
        rounds = math.ceil(shards / cores)
        return rounds * (decoding + fast) * SHARD_VIDEOS / clips

    return [
        [decoding],
        [reference, fast, clips * GRID_FIELDS / FAST / HOUR],
        [pairs / FLOW_GPU / HOUR / gpus for gpus in (1, 8, 64)],
        [(decoding + fast) / cores for cores in (CORES / 8, CORES)],
        [beam(8 * CORES), beam(2400)],
        [size / 1e9 for size in (whole, clips * grid_bytes, clips * map_bytes)],
        [whole / 1e9 / NVME],
    ]


def _training(gpus, link, each=4, parameters=PARAMETERS):
    """What each row of the table says of so many GPUs with so many clips a step on each."""
    sent = 2 * (gpus - 1) / gpus * parameters * 4 / 1e3  # GB, of a ring, in float32
    computing, exchange = each / TRAINED, sent / link  # s
    rate = gpus * each / (computing + exchange)
    _, frames, _ = SETS["Kinetics-400"]
    epoch = [EPOCH_CLIPS / rate, KINETICS[0] / rate]
    return [
        [1e3 * computing, 1e3 * exchange],
        [sent],
        [rate, 100 * exchange / (computing + exchange)],
        [rate * CLIP_MS / 1e3, rate * _record_bytes(frames) / 1e9, rate * CLIP_MB / 1e3],
        epoch,
        [seconds * EPOCHS / HOUR for seconds in epoch],
    ]


def _check(heading, columns):
    table = _table(heading)
    for column, of_rows in enumerate(columns):
        for (row, cells), values in zip(table.items(), of_rows, strict=True):
            shown = cells[column].split("; ")
            decimals = [len(number.partition(".")[2]) for number in shown]
            found = [f"{x:,.{n}f}" for x, n in zip(values, decimals, strict=True)]
            assert shown == found, row


def test_the_table_of_preparing_follows_from_the_inputs():
    _check("preparing", [_preparing(name) for name in SETS])


def test_the_guide_names_the_same_hours_for_ucf101():
    text = (DOCS / "guide" / "training.md").read_text(encoding="utf-8")
    fast, hours = _preparing("UCF101")[1][1], _training(*SCALES[0])[5][0]
    assert f"{fast:.0f} core hours of `fast` flow and {hours:.1f} hours of an" in text
    (seconds,) = re.findall(r"--accumulation_steps=8` \| \S+ \| (\S+) \|", PERFORMANCE)
    hours = float(seconds) * EPOCH_CLIPS / HOUR
    assert f"{hours:.1f} hours an epoch on two cores" in text
    assert f"bfloat16 with AVX-512, {seconds} s a clip" in text


def test_the_table_of_training_follows_from_the_inputs():
    _check("training", [_training(*scale) for scale in SCALES])


def test_the_sentences_have_the_figures_of_the_tables():
    one, eight, many, ethernet = (_training(*scale) for scale in SCALES)
    local = _preparing("Kinetics-400")[3][0]  # hours
    times = [(frames - 1) / GRID_FIELDS for _, frames, _ in SETS.values()]
    little = next(
        float(row["parameters_millions"])
        for row in read_csv(DOCS / "results" / "baselines_ucf101_13.csv")
    )
    clip_gb = 17 * 224 * 224 * (3 + 2 * 4) / 1e9  # frames and flow of a clip, uint8
    threads = 1 / (2 / TWO_THREADS - 1)  # Amdahl: what two lack of twice one is serial
    fewer = (4096 - 1024) * (7 * 7 * 512 + 1 + 4 * 101) / 1e6  # fc6 and the LSTM that reads it
    figures = [
        f"fewer than {HOUR * local / one[4][1]:.0f} epochs",
        f"reading, {threads * 1e3 / CLIP_MS:.0f} clips/s where 8 GPUs train {eight[2][0]:.0f}",
        f"takes {eight[2][1]:.0f} % of it, JPEGs {eight[3][0]:.0f} of {CORES:.0f} cores",
        f"{many[2][1]:.0f} % of a step, {ethernet[2][1]:.0f} by Ethernet",
        f"has {EPOCH_CLIPS / (64 * 4):.0f};",
        f"{many[3][1]:.0f} GB/s",
        f"{FAST / REFERENCE:.0f} times less than `reference`; worth {FLOW_GPU / FAST:.0f} cores",
        f"{times[0]:.1f} times less for UCF101, {times[1]:.1f} for Kinetics-400",
        f"exchange {_training(64, INFINIBAND, each=16)[2][1]:.0f} % of a step of 64 GPUs",
        f"{100 * fewer / PARAMETERS:.0f} % less; {100 * OF_STREAMS / PARAMETERS:.0f} % less",
        f"whose [{little:.1f} M]",
        f"exchange {4 * (little - OF_STREAMS):.0f} MB",
        f"{100 * 6e-3 * MULTIPLY_ADDS * TRAINED / PEAK:.0f} % of the GPU's peak",
        f"{TRAINED * clip_gb:.1f} GB/s of PCIe's {PCIE:.0f}",
    ]
    assert not [figure for figure in figures if figure not in PAGE]


@pytest.mark.parametrize(
    ("page", "figures"),
    [
        (
            "performance.md",
            [
                f"| tennis stroke | {REFERENCE} | 1.9 | {FAST:.0f} |",
                f"425; {FLOW_GPU:.0f} pairs/s",
                "stores 29.4 % of the fields",
                f"12 GB | 4 | 344 | 2.0 | {TRAINED} |",
                "0.46 MB a clip",
                "`flip_crop` | 8.6;",
                f"to one | {TWO_THREADS} times the clips/s",
                "`maps` | 2.7; 0.71 |",
            ],
        ),
        ("results.md", ["188,756,935 parameters"]),
        ("reference/baselines.md", [f"| {MULTIPLY_ADDS} |"]),
    ],
)
def test_what_was_measured_stands_on_the_page_that_is_named(page, figures):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert not [figure for figure in figures if figure not in text]
    assert re.search(rf"\]\([\w./]*{page.rpartition('/')[2]}[)#]", PAGE)


def test_the_other_inputs_are_those_of_their_sources():
    assert f"{188_756_935 / 1e6:.1f}" == str(PARAMETERS)
    assert 203 < GRID_FIELDS / 0.294 < 205  # fields of a clip of UCF101-13
    assert pytest.approx(0.7 * UCF101[0]) == EPOCH_CLIPS
    assert sum(paper.get_config().training.max_epochs) == EPOCHS
    assert SHARD_VIDEOS == layout.VIDEOS_PER_SHARD
    for clips, _, shards in SETS.values():
        part = 8 if clips > 100_000 else 1  # half as many videos make half as many shards
        videos = [SimpleNamespace(id=f"video {k}") for k in range(int(clips) // part)]
        assert part * len(list(layout.shards(videos))) == pytest.approx(shards, rel=0.03)
