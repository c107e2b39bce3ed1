"""UCF Sports with the paper's network and recipe.

Its shortest clip has 22 frames, so tau is clamped to 1 there. `--config.protocol=paper` is the
paper's split.
"""

from experiments.configs import ucf101

NUM_VIDEOS = 150
NUM_CLASSES = 10


def get_config():
    config = ucf101.get_config()
    config.protocol = "official"
    return config
