import numpy as np

from experiments.benchmarks.faults import mutations


def test_every_mutation_differs_and_can_be_drawn_again():
    content = bytes(range(256)) * 40
    damaged = [mutations.mutate(content, np.random.default_rng(k)) for k in range(200)]
    assert content not in damaged and len(set(damaged)) > 190
    assert damaged[7] == mutations.mutate(content, np.random.default_rng(7))
    lengths = np.array([len(one) for one in damaged]) - len(content)
    assert (lengths < 0).sum() > 20 and (lengths == 0).sum() > 20 and (lengths > 0).sum() > 20
    first = [next((k for k in range(len(a)) if a[k] != content[k]), len(a)) for a in damaged]
    assert sum(place < 512 for place in first) > 60  # the header more often than 1 in 20
    assert mutations.mutate(b"x", np.random.default_rng(0)) != b"x"
