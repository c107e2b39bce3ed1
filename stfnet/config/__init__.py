"""Settings of clips and of training: frozen dataclasses written as JSON beside every checkpoint.

Those of the networks stand beside their code (`stfnet.networks`), those of a whole run beside its
folder (`stfnet.run.config`). A model, its checkpoints and the records it reads each carry these
values, and are compared where they meet, so that a model never sees a clip of another length, size
or encoding than its own.
"""

from stfnet.config.clip import (
    BLOCK_CHANNELS,
    FLOW_INPUTS,
    NORMALIZE,
    RGB_INPUTS,
    STATISTICS,
    ClipConfig,
)
from stfnet.config.files import flat, from_dict, read_json, to_dict
from stfnet.config.learned import LearnedConfig, RecordsConfig
from stfnet.config.training import (
    FC6_INIT,
    STRATEGIES,
    TEMPORAL_CONV1,
    WHOLE_STREAM,
    TrainingConfig,
    microbatches_per_device,
)
