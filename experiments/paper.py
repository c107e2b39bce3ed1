"""The published figures (Ou & Sun 2019, Tables 1 and 2), to compare with."""

from collections.abc import Mapping

# Recognition rate in percent. The paper's own rows are on its random 7:3 split over clips, where
# 98.9 % of UCF101's test clips have a sibling from the same video in training; most others are
# means over the official splits, where none has.
ACCURACY = {
    "ucf101": {
        "dense trajectories": 84.2,
        "composite LSTM": 84.3,
        "soft attention": 84.9,
        "two-stream ConvNet": 88.0,
        "beyond short snippets": 88.6,
        "C3D + iDT + SVM": 90.4,
        "two-stream fusion": 92.5,
        "Ou & Sun 2019": 95.3,
    },
    "ucf11": {
        "dense trajectories": 84.2,
        "soft attention": 84.9,
        "Cho et al.": 88.0,
        "two-stream LSTM": 94.6,
        "Ou & Sun 2019": 100.0,
    },
    "ucf_sports": {
        "dense trajectories": 89.1,
        "Weinzaepfel et al.": 90.5,
        "SGSH": 90.9,
        "two-stream LSTM": 99.1,
        "Ou & Sun 2019": 100.0,
    },
}


def comparison(results: Mapping) -> str:
    """A table of the published figures beside a result, as lines of text.

    Args:
        results: of `stfnet.evaluation.evaluate` or `stfnet.evaluation.metrics.average_folds`.

    Returns:
        The lines; empty where the paper does not report the data set.
    """
    published = ACCURACY.get(results["dataset"])
    if published is None:
        return ""
    ours = f"this run, protocol {results['protocol']}"
    rows = [*sorted(published.items(), key=lambda row: row[1]), (ours, 100 * results["top1"])]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}s} {value:6.1f} %" for name, value in rows]
    if results["protocol"] != "paper":
        lines.append(
            "  The paper's own figure is on a random split of clips (--protocol=paper), which "
            "leaks groups into the test."
        )
    return "\n".join(lines) + "\n"
