import importlib.util

import pytest


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_peer_has_the_same_parameters():
    from benchmarks.peer_torch import PeerSTFNet
    from stfnet import ModelConfig

    peer = PeerSTFNet(ModelConfig(num_classes=11))
    assert sum(p.numel() for p in peer.parameters()) == 188_757_343
