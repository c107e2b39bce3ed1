"""A head: a trained network without its VGG-16 streams, whose ImageNet weights come from elsewhere.

It is what follows the streams, in half precision, with its card, in a folder of a few megabytes.
Heads in `stfnet/networks/` ship with the package and have names.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from preprocessing import files, splits
from preprocessing.datasets import titles
from preprocessing.errors import UserError
from stfnet.config import WHOLE_STREAM, read_json
from stfnet.export import layout
from stfnet.networks import parts
from stfnet.networks.model import STFNet, undrawn_weights
from stfnet.run.config import RunConfig
from stfnet.weights import load_vgg16_weights, vgg16_file

NETWORKS = Path(__file__).parents[1] / "networks"
_STREAMS = "streams_norms"  # in config.json
_HALF = np.finfo(np.float16)


def shipped() -> list[str]:
    """Names of the networks that ship with the package."""
    return sorted(path.parent.name for path in NETWORKS.glob(f"*/{layout.HEAD_FILE}"))


def find(name: str | Path) -> tuple[Path, str] | None:
    """The folder of a head, and the file of VGG-16's weights or `imagenet`; None where no head is
    named.

    The name is of a folder that holds a head, or of one that ships; a folder of that name comes
    first. After a colon may follow the .h5 file of VGG-16's weights.
    """
    named, _, weights = (str(name), "", "") if Path(name).exists() else str(name).partition(":")
    folder = Path(named)
    if named in shipped() and not folder.exists():
        folder = NETWORKS / named
    return (folder, weights or "imagenet") if layout.is_head(folder) else None


def load_head(folder: str | Path, weights: str | Path = "imagenet") -> tuple[STFNet, RunConfig]:
    """Loads the network and the run's configuration that `export_head` wrote, and VGG-16's weights
    into its streams.

    Raises:
        UserError: the folder is damaged, VGG-16's weights are missing or cannot be downloaded, or
            they are others than those that the head was trained on.
    """
    folder = Path(folder)
    layout.check_sums(folder, layout.HEAD_FILE)
    facts = folder / layout.CONFIG_FILE
    config = read_json(RunConfig, facts, beside=("split_fingerprint", "certificate", _STREAMS))
    try:
        weights = vgg16_file(weights)
    except UserError as error:
        raise UserError(f"{error} (--model=NAME:FILE.h5)") from error
    with undrawn_weights():
        model = STFNet(config.model, config.training.precision, learned=config.learned)
    load_vgg16_weights(model, weights, temporal_conv1="cross_modality")
    wanted = json.loads(facts.read_text()).get(_STREAMS, [])
    found = streams_norms(model)
    if len(wanted) != len(found) or not np.allclose(found, wanted, rtol=1e-4):
        raise UserError(
            f"{weights} holds other weights than those that {folder} was trained on: give "
            "ImageNet's own, as keras.applications has them"
        )
    variables = _variables(model)
    with np.load(folder / layout.HEAD_FILE, allow_pickle=False) as arrays:
        if {name: array.shape for name, array in arrays.items()} != {
            name: tuple(variable.shape) for name, variable in variables.items()
        }:
            raise UserError(
                f"{folder / layout.HEAD_FILE} has other variables than this version's "
                "network: export the run again"
            )
        for name, array in arrays.items():
            variables[name].assign(array.astype(np.float32))
    return model, config


def export_head(
    model: STFNet,
    config: RunConfig,
    folder: str | Path,
    results: Mapping[str, Any],
    fingerprint: Mapping[str, Any],
) -> None:
    """Writes the head of a run's network with its configuration, class names, checksums and card.

    The folder appears when everything in it is written; an export that is there is replaced. The
    card has no checksum: it may be edited. `results` are of the run's test part (`read_results`),
    and the fingerprint is that of its videos.

    Raises:
        UserError: the streams have other weights than ImageNet's, the results have no interval,
            there is no room, or the folder holds something else than an export.
    """
    check_streams(config)
    if "intervals" not in results:
        raise UserError("the run's results lack an interval: evaluate the run again")
    arrays = {name: _stored(variable) for name, variable in _variables(model).items()}
    layout.check_room(folder, sum(array.nbytes for array in arrays.values()))
    # Folders of the machine that trained it are nobody else's.
    start, other_run = Path(config.training.weights).name, Path(config.split_from).name
    training = dataclasses.replace(config.training, weights=start)
    kept = dataclasses.replace(config, training=training, split_from=other_run)
    fingerprint = {**fingerprint, "starting_weights": start}
    with layout.writing(folder) as temporary:
        with (temporary / layout.HEAD_FILE).open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # names are no arguments
        layout.write_facts(temporary, kept, fingerprint, **{_STREAMS: streams_norms(model)})
        size = (temporary / layout.HEAD_FILE).stat().st_size / 1e6
        here = f"{sum(array.size for array in arrays.values()):,} ({size:.1f} MB, half precision)"
        card = _card(Path(folder).resolve().name, model, here, config, results)
        files.write_text(temporary / layout.CARD_FILE, card)


def streams_norms(model: keras.Model) -> list[float]:
    """Norms of the kernel and bias of each convolution of a network's streams, in their order.

    They tell weights apart, and not copies of the same ones that other formats have rounded.
    """
    return [
        float(np.linalg.norm(keras.ops.convert_to_numpy(variable).astype(np.float64)))
        for stream in parts.streams_of(model).values()
        for convolution in stream.convolutions.values()
        for variable in (convolution.kernel, convolution.bias)
    ]


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The variables outside the streams, by their paths."""
    streams = parts.streams_of(model).values()
    layers = [layer for layer in model.layers if layer not in streams]
    return {variable.path: variable for layer in layers for variable in layer.weights}


def _stored(variable: keras.Variable) -> np.ndarray:
    """The values of a variable as they are stored.

    In half precision where that changes none by more than 2^-11 of the largest. Statistics of
    batch normalisation are not: what is divided by them can be far smaller or larger.
    """
    values = keras.ops.convert_to_numpy(variable)
    largest = np.abs(values).max(initial=0)
    half = variable.trainable and (not largest or _HALF.tiny <= largest <= _HALF.max)
    return values.astype(np.float16) if half else values


def check_streams(config: RunConfig) -> None:
    """Checks that a run's streams kept ImageNet's weights, in both of the two; a UserError where
    they did not.
    """
    training = config.training
    whole = (WHOLE_STREAM,) * len(training.frozen_blocks)
    of_run = not training.weights or training.weights.endswith(".keras")
    conv1 = "flow" not in config.model.input_channels or training.temporal_conv1 == "cross_modality"
    for name, needed, met in (
        ("weights", "imagenet", not of_run),
        ("frozen_blocks", str(whole), training.frozen_blocks == whole),
        ("temporal_conv1", "cross_modality", conv1),
    ):
        if not met:
            raise UserError(
                "--format=head needs streams that kept ImageNet's weights, and those of this run "
                f"have others: training.{name} is {getattr(training, name) or 'empty'}, not "
                f"{needed}; give another --format"
            )


def _card(
    name: str,
    model: keras.Model,
    here: str,
    config: RunConfig,
    results: Mapping[str, Any],
) -> str:
    clip, records, training = config.model.clip, config.records, config.training
    low, high = results["intervals"]["top1"]
    drawn = results["bootstrap"]
    leak = splits.leak_text(results["leak"], results.get("ungrouped", 0), results["num_test"])
    held = ", those of validation among them," if training.train_on_validation else ""
    rows = {
        "network": f"{config.model.network}, streams: {config.model.streams}; "
        f"{model.count_params():,} parameters, of which here {here}",
        "streams": "VGG-16's convolutions with ImageNet's weights, not trained; not in this folder",
        "data": f"{results['dataset']}: {results['num_train']} videos for training{held} and "
        f"{results['num_test']} for the test",
        "protocol": f"{results['protocol']}, fold {results['fold']}; test videos with a sibling in "
        f"training: {leak}; the epoch was chosen on {results['validated_on']}",
        "top-1": f"{results['top1']:.3f} ({drawn['confidence']:.0%} interval {low:.3f} to "
        f"{high:.3f}, bootstrap over {drawn['count']} {drawn['drawn']}; one clip a "
        f"video); chance {results['chance']:.3f}, majority class {results['majority']:.3f}",
        "clip": f"{clip.num_frames} frames, flow stacks of {clip.flow_length}, {clip.image_size} "
        f"pixels, resize {clip.resize}, fps {clip.fps:g} (0: all), repeats {clip.repeats}",
        "records": f"{records.image_format}, quality {records.jpeg_quality}; median length "
        f"{records.num_frames} frames",
        "terms of the data": titles.TERMS.get(
            config.name.partition(" (")[0], "those of its videos"
        ),
        "terms of the streams": "VGG-16: CC BY 4.0 (Oxford); ImageNet's pictures: for research",
    }
    table = "".join(f"| {key} | {value} |\n" for key, value in rows.items())
    return (
        f"# {name}\n\n"
        f"    python -m experiments.predict --model={name} --video=FILE --output=prediction\n\n"
        "`--model` takes the path of this folder too. VGG-16's weights come from keras.applications"
        f", or from a file: `--model={name}:FILE.h5`.\n\n"
        f"| | |\n|---|---|\n{table}\n"
        f"Classes: {', '.join(config.classes)}.\n"
    )
