"""The locked versions: every library that the wheel asks for, pinned and with digests."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def _pins(device):
    """Name of each locked library -> (version, digests)."""
    lock = Path(__file__).parents[1] / f"requirements-{device}.txt"
    entries = re.split(r"\n(?=\S)", lock.read_text().replace("\\\n", ""))
    pins = {}
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==(\S+)", entry).groups()
        pins[canonicalize_name(name)] = version, re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
    return pins


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_what_the_wheel_needs_is_locked_in_a_version_that_it_allows(device):
    pins = _pins(device)
    needed = [Requirement(text) for text in metadata.requires("stfnet")]
    extras = ({"extra": device}, {"extra": "serve"})
    needed = [one for one in needed if not one.marker or any(map(one.marker.evaluate, extras))]
    assert len(needed) > 15
    for one in needed:
        assert one.specifier.contains(pins[canonicalize_name(one.name)][0]), str(one)


def test_every_locked_library_has_a_digest_and_on_both_devices_one_version():
    cpu, gpu = _pins("cpu"), _pins("gpu")
    assert all(digests for _, digests in [*cpu.values(), *gpu.values()])
    assert all(gpu[name][0] == cpu[name][0] for name in cpu.keys() & gpu.keys())
