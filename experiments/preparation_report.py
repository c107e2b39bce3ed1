"""What `experiments.prepare` tells the person at the terminal."""

import sys
from pathlib import Path

from tqdm import tqdm

from preprocessing import files, records
from preprocessing.errors import UserError
from preprocessing.preparation import prepare
from preprocessing.records import outcomes, verification

DIFFERENCES_FILE = "differences.txt"
_SHOWN_DIFFERENCES = 20


def progress_bar(unit: str, total: int) -> tqdm:
    """A bar with rate and time left."""
    # A log file gets a line a minute.
    shown_every = 0.5 if sys.stderr.isatty() else 60
    return tqdm(total=total, unit=unit, smoothing=0.1, mininterval=shown_every, leave=False)


def show_differences(differences, output: Path):
    """Prints how a catalogue differs from the published collection, and writes all of it down."""
    for line in differences[:_SHOWN_DIFFERENCES]:
        print(line)
    if differences:
        output.mkdir(parents=True, exist_ok=True)
        files.write_text(output / DIFFERENCES_FILE, "\n".join(differences) + "\n")
        print(f"{output / DIFFERENCES_FILE} lists every difference from the published collection")


def show_prepared(prepared: prepare.Prepared, allowed: int):
    """Prints what was prepared.

    Raises:
        UserError: more videos failed than are allowed.
    """
    counts = prepared.record_set.counts
    failed = len(prepared.failures)
    state = f"{prepared.converted} converted now" if prepared.converted else "finished before"
    print(
        f"{prepared.record_set.folder}: {counts['videos']} videos, {counts['frames']} frames,"
        f" {failed} failed ({state}), SHA-256 {prepared.record_set.sha256 or 'unknown'}"
    )
    if notes := len(prepared.notes):
        print(
            f"{notes} note{'s' * (notes > 1)}: such videos are in the records and are doubtful,"
            f" {prepared.record_set.folder / outcomes.NOTES_FILE} says why"
        )
    if failed > allowed:
        raise UserError(
            f"{failed} of {counts['videos'] + failed} videos could not be used,"
            f" {allowed} allowed: the first because {prepared.failures[0]['reason']}."
            f" The records hold the others; {prepared.record_set.folder / outcomes.FAILURES_FILE}"
            " lists all. Repair them and run the same command again, or set"
            f" --allow_failures={failed}"
        )


def show_faults(record_set: records.RecordSet, faults: list[verification.Fault]):
    """Prints what reading a set back found.

    Raises:
        UserError: there are faults.
    """
    for fault in faults:
        print(" ".join(filter(None, [fault.shard, fault.video_id])) + f": {fault.reason}")
    shards = sorted({fault.shard for fault in faults})
    if shards == [records.METADATA_FILE]:
        raise UserError(
            f"the records of {record_set.folder} are whole, {records.METADATA_FILE} lists others"
            " than it was written for: copy it again from where the set was made, or, if the"
            ' change was meant, set its "sha256" to "" and run the same experiments.prepare again'
        )
    if faults:
        raise UserError(
            f"{len(faults)} of {len(record_set.videos)} videos are damaged: delete"
            f" {', '.join(shards)} in {record_set.folder} and run the same experiments.prepare"
            " again, which makes only their videos anew"
        )
    print(f"{record_set.folder}: {len(record_set.videos)} videos read back, all whole")
    print(
        f"SHA-256 {record_set.sha256}"
        if record_set.sha256
        else "no SHA-256 to compare with: run the same experiments.prepare again to add them"
    )
