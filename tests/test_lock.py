"""The locked versions: every library that the wheel asks for on a CPU, pinned and with digests."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[1] / "requirements-cpu.txt"


def _pins():
    """Name of each locked library -> (version, digests)."""
    entries = re.split(r"\n(?=\S)", LOCK.read_text().replace("\\\n", ""))
    pins = {}
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()
        pins[canonicalize_name(name)] = version, re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
    return pins


def test_what_the_wheel_needs_is_locked_in_a_version_that_it_allows():
    pins = _pins()
    needed = [Requirement(text) for text in metadata.requires("stfnet")]
    extras = ({"extra": "cpu"}, {"extra": "serve"})
    needed = [one for one in needed if not one.marker or any(map(one.marker.evaluate, extras))]
    assert len(needed) > 15
    for one in needed:
        assert one.specifier.contains(pins[canonicalize_name(one.name)][0]), str(one)


def test_every_locked_library_has_a_digest():
    assert all(digests for _, digests in _pins().values())
