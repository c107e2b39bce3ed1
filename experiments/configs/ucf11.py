"""UCF11 (YouTube Action) with the paper's network and recipe.

The default fold is 1 of the 5 folds by group; `--config.protocol=paper` is the paper's split.
"""

from experiments.configs import ucf101

NUM_VIDEOS = 1_600
NUM_CLASSES = 11


def get_config():
    config = ucf101.get_config()
    config.protocol = "official"
    return config
