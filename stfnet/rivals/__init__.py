"""The networks that the paper is compared with, one a file, built from STFNet's own layers.

`model.architecture` names one. Each has STFNet's inputs and output, its streams with their weights
and settings, and two functions: `logits` builds what follows the streams, `multiply_adds` counts
it. Where a published network is larger than its text, or other networks than VGG-16 carry it, the
file says so.
"""

from stfnet.rivals import (
    c3d,
    conv_pooling,
    deep_lstm,
    lrcn,
    soft_attention,
    tsn,
    two_stream,
    two_stream_fusion,
    two_stream_lstm,
)
from stfnet.rivals.parts import gathered

RIVALS = {
    "two_stream": two_stream,
    "two_stream_fusion": two_stream_fusion,
    "lrcn": lrcn,
    "deep_lstm": deep_lstm,
    "conv_pooling": conv_pooling,
    "two_stream_lstm": two_stream_lstm,
    "soft_attention": soft_attention,
    "tsn": tsn,
    "c3d": c3d,
}

__all__ = ["RIVALS", "gathered"]
