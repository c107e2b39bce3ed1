"""The videos that a run knows, and where they are in a record set."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from preprocessing.records import RecordSet

PARTS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class RunVideos:
    """The videos of a run, by part, each id with the SHA-256 of its file ("" where unknown)."""

    protocol: str
    fold: str
    split_seed: int
    validation_fraction: float  # 0: the validation part is the test part
    train: Mapping[str, str]
    val: Mapping[str, str]
    test: Mapping[str, str]
    unused: Mapping[str, str]  # that the protocol puts into no part
    leak: float  # see `preprocessing.splits.leak`: of the test part, in training and validation
    duplicates: int  # test videos whose file is also in training or validation
    records: str = ""  # SHA-256 of the record set when the run started
    weights: str = ""  # the starting weights, as `training.weights`
    # What the starting weights, and those that they started from, were trained or selected on.
    seen: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Digest of the parts: of the lines `part TAB id TAB SHA-256 of the file`, sorted."""
        lines = sorted(
            f"{part}\t{name}\t{digest}\n"
            for part in (*PARTS, "unused", "seen")
            for name, digest in getattr(self, part).items()
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def learned_from(self) -> dict[str, str]:
        """Every video that the run's weights were ever trained or selected on: id -> SHA-256.

        Where the starting weights learned from another file of the same id, both are kept: the
        older one under the key `id SHA-256`.
        """
        own = {**self.val, **self.train}
        older = {
            f"{name} {digest}" if digest and own.get(name, digest) != digest else name: digest
            for name, digest in self.seen.items()
        }
        return {**older, **own}

    def warnings(self) -> list[str]:
        """One line for each reason why the run's figures would be too optimistic."""
        lines = []
        if self.duplicates:
            lines.append(
                f"{self.duplicates} test videos are in training or validation under another name "
                "(the same file): remove the copies, or the test accuracy is too optimistic"
            )
        if known := sorted(set(self.val) & set(self.seen)):
            lines.append(
                f"{len(known)} validation videos (such as {known[0]}) were seen by the starting "
                "weights: validation accuracy will be higher than on new videos"
            )
        return lines

    def fingerprint(self) -> dict[str, Any]:
        """Origin of the run's figures, written beside each of them, as JSON values."""
        return {
            "protocol": self.protocol,
            "fold": self.fold,
            "split_seed": self.split_seed,
            "validation_fraction": self.validation_fraction,
            "videos": {part: len(getattr(self, part)) for part in PARTS},
            "parts_sha256": self.sha256,
            "leak": self.leak,
            "duplicates": self.duplicates,
            "records_sha256": self.records,
            "starting_weights": self.weights,
            "seen_by_starting_weights": sorted(self.seen),
        }


@dataclasses.dataclass(frozen=True)
class Located:
    """A run's videos in a record set, which may have changed since the run started.

    The arrays are int64 positions in `record_set.videos`, ascending.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    unused: np.ndarray
    unseen: np.ndarray  # new since the run started
    seen: np.ndarray  # in no part; the starting weights were trained or selected on them
    copies: np.ndarray  # additional videos whose file is that of a known one; in no part
    lost: tuple[str, ...]  # ids of the run's parts that the records no longer have
    changed: tuple[str, ...]  # ids whose file has changed since the run started

    def learned(self, train_on_validation: bool) -> np.ndarray:
        """Positions of the videos that the network's weights are learned from, ascending."""
        both = np.concatenate([self.train, self.val])
        return np.sort(both) if train_on_validation else self.train

    def notes(self, record_set: RecordSet) -> list[str]:
        """One line for each way in which the records differ from those of the run."""

        def names(positions: np.ndarray) -> list[str]:
            return [record_set.videos[k].id for k in positions]

        lines = []
        for difference, ids in (
            ("are new since the run started and in no part of it", names(self.unseen)),
            ("are copies of others that the run knows, and in no part of it", names(self.copies)),
            ("of the run are not in these records any more", self.lost),
            ("have another file now than when the run started", self.changed),
        ):
            if ids:
                shown = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
                lines.append(f"{len(ids)} videos {difference}: {shown}")
        return lines


def untrained_classes(record_set: RecordSet, learned: np.ndarray) -> list[str]:
    """Classes without any of the videos that a network learns from."""
    known = {record_set.videos[k].label for k in learned}
    return [name for label, name in enumerate(record_set.classes) if label not in known]


def locate(videos: RunVideos, record_set: RecordSet) -> Located:
    """Finds a run's videos in a record set, by id and file, or by either alone.

    A video with the file of a known one whose id is gone is that video, renamed. An additional
    video with the file of a known one that is still there is a copy: it is in no part, as it would
    count twice. A video with a known id and a new file keeps its part and is named in `changed`.
    """
    known: dict[str, tuple[str, str]] = {}
    names_of_file = collections.defaultdict(list)
    # Training comes last and wins where an id is in several parts.
    for part in ("unused", "seen", *reversed(PARTS)):
        known |= {name: (part, digest) for name, digest in getattr(videos, part).items()}
    for name, (_, digest) in known.items():
        if digest:
            names_of_file[digest].append(name)
    file_of = {video.id: video.source_sha256 for video in record_set.videos}
    renamed = {  # of each file: the ids that had it and no longer have it
        digest: [name for name in names if file_of.get(name) != digest]
        for digest, names in names_of_file.items()
    }
    positions: dict[str, list[int]] = {
        name: [] for name in (*PARTS, "unused", "seen", "unseen", "copies")
    }
    present, changed = set(), []
    for k, video in enumerate(record_set.videos):
        name, file = video.id, video.source_sha256
        part, known_file = known.get(name, ("unseen", ""))
        if file and known_file != file and file in names_of_file:
            if renamed[file]:
                present.add(former := renamed[file].pop())
                part = known[former][0]
            else:
                part = "copies"
        else:
            present.add(name)
            if file and known_file and known_file != file:
                changed.append(name)
        positions[part].append(k)
    if not videos.validation_fraction:
        positions["val"] = positions["test"] = sorted(positions["val"] + positions["test"])
    lost = {name for part in PARTS for name in getattr(videos, part)} - present
    return Located(
        **{name: np.array(rows, np.int64) for name, rows in positions.items()},
        lost=tuple(sorted(lost)),
        changed=tuple(changed),
    )
