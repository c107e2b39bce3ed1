"""The results of an evaluation as lines for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from preprocessing import splits
from preprocessing.captions import one_line
from stfnet.evaluation import linear_model, significance

NAME_LENGTH = 40  # characters of a name that are shown
MOST_PAIRS, MOST_VIDEOS = 5, 5  # that are printed; results.json has more


def evaluation(results: Mapping[str, Any], paths: Iterable[Path]) -> list[str]:
    """Everything about an evaluation or a fusion, and the files that were written."""
    written = f"written: {', '.join(map(str, paths))}"
    return [*summary(results), *per_class(results), *mistakes(results), written]


def mean_of_folds(mean: Mapping[str, Any]) -> str:
    """The figures of `stfnet.evaluation.metrics.average_folds`."""
    return (
        f"mean of {len(mean['folds'])} folds: top-1 {mean['top1']:.3f} (standard deviation "
        f"{mean['top1_deviation']:.3f})   {top5(mean)}   mean class accuracy "
        f"{mean['mean_class_accuracy']:.3f}"
    )


def leak(results: Mapping[str, Any]) -> str:
    """The leak of a split in words."""
    # Results of earlier versions do not say whose group is unknown.
    return splits.leak_text(results["leak"], results.get("ungrouped", 0), results["num_test"])


def top5(results: Mapping[str, Any]) -> str:
    """Top-5, or of fewer classes what it comes to."""
    k = min(5, results["num_classes"])
    return f"top-{k} {results['top5']:.3f}{' (all classes)' * (k == results['num_classes'])}"


def summary(results: Mapping[str, Any]) -> list[str]:
    """What was evaluated, and the figures with their intervals."""
    drawn = results["bootstrap"]
    lines = [
        f"{results['dataset']}, protocol {results['protocol']}, fold {results['fold']}, "
        f"{results['split']} part: {results['num_test']} videos of {results['num_classes']} classes"
    ]
    for one in results.get("fused", ()):
        lines.append(f"  fused: {one['run']}, weight {one['weight']:g}, top-1 {one['top1']:.3f}")
    lines += _views(results["views"])
    lines += [
        f"  top-1 {results['top1']:.3f}   {top5(results)}   mean class accuracy "
        f"{results['mean_class_accuracy']:.3f}   macro F1 {results['macro_f1']:.3f}",
        f"  {drawn['confidence']:.0%} intervals (bootstrap over {drawn['count']} "
        f"{drawn['drawn']}): top-1 {_interval(results, 'top1')}   mean class accuracy "
        f"{_interval(results, 'mean_class_accuracy')}"
        + (", rough: few groups" if drawn["count"] < significance.FEW else ""),
        f"  calibration error {results['calibration']['expected_calibration_error']:.3f}   mean "
        f"ROC AUC {_number(results['mean_roc_auc'])}   mean average precision "
        f"{_number(results['mean_average_precision'])}",
        f"  chance {results['chance']:.3f}   majority class {results['majority']:.3f}   of these "
        f"clips with a sibling in training: {leak(results)}",
    ]
    if untrained := results.get("untrained_classes"):
        names = ", ".join(one_line(name, NAME_LENGTH) for name in untrained)
        lines.append(f"  no training video, so the network cannot know it: {names}")
    if "nearest_neighbour" in results:
        lines.append(f"  nearest neighbour on the median frame {results['nearest_neighbour']:.3f}")
    if "linear_model" in results:
        lines += [f"  {line}" for line in linear_model.summary(results["linear_model"])]
    return lines


def per_class(results: Mapping[str, Any]) -> list[str]:
    """A table of the classes, the least accurate first."""
    rows = sorted(results["classes"].items(), key=lambda item: item[1]["recall"])
    names = [one_line(name, NAME_LENGTH) for name, _ in rows]
    width = max(map(len, names))
    lines = [f"  {'class':{width}s} videos accuracy     F1 ROC AUC     AP"]
    for name, (_, one) in zip(names, rows, strict=True):
        lines.append(
            f"  {name:{width}s} {one['videos']:6d} {one['recall']:8.3f} {one['f1']:6.3f} "
            f"{_number(one['roc_auc']):>7s} {one['average_precision']:6.3f}"
        )
    return lines


def mistakes(results: Mapping[str, Any]) -> list[str]:
    """The most confused pairs of classes and the most wrong videos; nothing where all is right."""
    lines = []
    for pair in results["most_confused"][:MOST_PAIRS]:
        first, second = (one_line(name, NAME_LENGTH) for name in pair["classes"])
        there, back = pair["directions"]
        lines.append(f"  confused: {first} for {second} {there} times, the reverse {back} times")
    for one in results["most_wrong"][:MOST_VIDEOS]:
        name, truth, predicted = (
            one_line(one[key], NAME_LENGTH) for key in ("video", "class", "predicted")
        )
        lines.append(
            f"  wrong: {name} is {truth} ({one['probability_of_class']:.3f}), predicted "
            f"{predicted} ({one['probability']:.3f})"
        )
    return lines


def timing(figures: Mapping[str, Any]) -> list[str]:
    """The figures of `stfnet.evaluation.timing.measure`."""
    lines = [
        f"prediction of one video, median of {figures['videos']} (T = {figures['num_frames']}, "
        f"L = {figures['flow_length']}, {figures['image_size']} pixels; {figures['device']}):",
        f"  flow made beforehand {figures['with_flow_stored']:.3f} s",
    ]
    if figures["with_flow_computed"] is not None:
        lines.append(f"  flow computed        {figures['with_flow_computed']:.3f} s")
    return lines


def _views(views: Mapping[str, Any]) -> Sequence[str]:
    if views["num_clips"] == 1 and not views["flip"]:
        return []
    lines = [
        f"  mean over {views['num_clips']} clips a video"
        + (" and their mirror images" if views["flip"] else "")
    ]
    if views["flip"]:
        pairs = ", ".join(" and ".join(pair) for pair in views["mirror_pairs"])
        lines.append(
            "  warning: a mirror turns an action with a side into another one; "
            + (f"only these count as pairs: {pairs}" if pairs else "no pairs of classes were named")
        )
    return lines


def _interval(results: Mapping[str, Any], name: str) -> str:
    low, high = results["intervals"][name]
    return f"{low:.3f} to {high:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
