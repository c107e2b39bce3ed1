"""What became of the kills and mutations of one program or kind of file."""

import dataclasses

OUTCOMES = ("survived", "lost", "wrong", "failed")


@dataclasses.dataclass
class Tally:
    """A row of the table.

    Attributes:
        name: of the program that was killed, or the kind of file that was damaged.
        counts: number of rounds of each of `OUTCOMES`.
        seconds: all rounds took, s.
        notes: one line for each round that did not survive.
    """

    name: str
    counts: dict = dataclasses.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    seconds: float = 0.0
    notes: list = dataclasses.field(default_factory=list)

    def add(self, outcome: str, round_name: str, reason: str = ""):
        """Counts one round; `reason` says in what it did not survive."""
        self.counts[outcome] += 1
        if outcome != "survived":
            line = " ".join(f"{self.name} {round_name} {outcome}: {reason}".split())
            self.notes.append(line)

    @property
    def clean(self) -> bool:
        """Whether every round survived."""
        return self.counts["survived"] == sum(self.counts.values())


def table(tallies) -> str:
    """The tallies as aligned columns."""
    head = ("", "tried", *OUTCOMES, "seconds")
    rows = [
        (
            tally.name,
            str(sum(tally.counts.values())),
            *(str(tally.counts[outcome]) for outcome in OUTCOMES),
            f"{tally.seconds:.0f}",
        )
        for tally in tallies
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in (head, *rows)
    )
