"""Configurations: frozen dataclasses written as JSON beside every checkpoint.

A model, its checkpoints and the records it reads each carry these values, and are compared where
they meet, so that a model never sees a clip of another length, size or encoding than its own.
"""

from stfnet.config.files import from_dict, read_json, to_dict
from stfnet.config.model import (
    BLOCK_CHANNELS,
    FLOW_INPUTS,
    FUSIONS,
    NORMALIZE,
    RGB_INPUTS,
    STATISTICS,
    STREAMS,
    ClipConfig,
    ModelConfig,
)
from stfnet.config.rivals import (
    ARCHITECTURES,
    WITHOUT_VGG,
    DeepLSTMConfig,
    LRCNConfig,
    SoftAttentionConfig,
    TSNConfig,
)
from stfnet.config.run import (
    RecordsConfig,
    RunConfig,
    check_together,
    microbatches_per_device,
    partial_statistics,
)
from stfnet.config.training import (
    FC6_INIT,
    STRATEGIES,
    TEMPORAL_CONV1,
    WHOLE_STREAM,
    TrainingConfig,
)

__all__ = [
    "ARCHITECTURES",
    "BLOCK_CHANNELS",
    "FC6_INIT",
    "FLOW_INPUTS",
    "FUSIONS",
    "NORMALIZE",
    "RGB_INPUTS",
    "STATISTICS",
    "STRATEGIES",
    "STREAMS",
    "TEMPORAL_CONV1",
    "WHOLE_STREAM",
    "WITHOUT_VGG",
    "ClipConfig",
    "DeepLSTMConfig",
    "LRCNConfig",
    "ModelConfig",
    "RecordsConfig",
    "RunConfig",
    "SoftAttentionConfig",
    "TSNConfig",
    "TrainingConfig",
    "check_together",
    "from_dict",
    "microbatches_per_device",
    "partial_statistics",
    "read_json",
    "to_dict",
]
