"""The record set: what is stored of each video, and how it is read back.

`example` has the schema of one record, `image_layout` how its images are stored, `grid` which of
them are, `record_set` the folder of records and its `metadata.json`, `reader` reads the clips of a
batch, `outcomes` lists the videos that failed.
"""

# ruff: noqa: F401 (what others take from here)
from preprocessing.records.example import (
    MAX_EXAMPLE_BYTES,
    Example,
    ExampleWriter,
    relabelled,
    view_example,
)
from preprocessing.records.image_layout import (
    IMAGE_FORMATS,
    decode_field,
    decode_frame,
    encode_field,
    encode_frame,
)
from preprocessing.records.reader import read_video
from preprocessing.records.record_set import (
    METADATA_FILE,
    SHARD_NAME,
    SPLIT_NAME,
    DamagedRecordError,
    RecordedVideo,
    RecordSet,
    dataset_name,
    load_record_set,
    read_bytes,
    read_record_set,
    set_sha256,
    shard_file,
    shard_sizes,
    write_record_set,
)
