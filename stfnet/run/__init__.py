"""The folder of a run: the names of its files, its configuration, and the videos that it knows.

Which videos a run trains, validates and tests on is drawn once, when it starts, and written to
`videos.json`. Whatever loads the run afterwards reads it from there and compares it with the
records at hand; the videos of a trained network are never drawn again.
"""

from stfnet.run.folder import (
    BEST_FILE,
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    CURVES_FILE,
    FEATURES_FOLDER,
    HISTORY_FILE,
    STEPS_FILE,
    TENSORBOARD_FOLDER,
    VIDEOS_FILE,
    check_learned_videos,
    classes_of,
    differences,
    holds,
    is_finished,
    network_sha256,
    read_config,
    read_videos,
    writing,
)
from stfnet.run.new_split import draw_videos, open_videos
from stfnet.run.videos import PARTS, Located, RunVideos, locate, untrained_classes
