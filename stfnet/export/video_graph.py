"""From decoded frames of any number and size to the network's clip, as TensorFlow operations.

The exported model carries this graph, so that a server needs neither OpenCV nor this project. Each
step is that of `clip.read_clip`: frames, grey and encoding to the last bit, and flow as
near as the solver in Keras' operations comes to OpenCV's.
"""

import tensorflow as tf

from preprocessing.flow import tvl1_keras
from preprocessing.flow.constants import GRAPH_BATCH
from stfnet.config import ClipConfig, RecordsConfig
from stfnet.export.image_graph import grayscale, motion_window, resize


def sample(num_frames, clip: ClipConfig):
    """The test clip's frames (T,) and flow fields (T, L), int32 (Eqs. 13-14), as `stfnet.sampling`
    has them.

    The number of frames is a scalar int32 tensor, at least 2.
    """
    frames = tf.range(clip.num_frames) * tf.maximum(num_frames // clip.num_frames, 1)
    if clip.short_video == "loop":
        frames = frames % num_frames
    elif clip.short_video == "pad_last":
        frames = tf.minimum(frames, num_frames - 1)
    else:
        enough = tf.debugging.assert_less(
            frames[-1],
            num_frames,
            f"a clip takes {clip.num_frames} frames, and the video has fewer",
        )
        with tf.control_dependencies([enough]):
            frames = tf.identity(frames)
    offsets = tf.range(clip.flow_length) - clip.flow_length // 2
    return frames, tf.clip_by_value(frames[:, None] + offsets, 0, num_frames - 2)


def encode(field, bound):
    """As `preprocessing.flow.encode`: displacements in pixels to uint8."""
    levels = tf.round(field * (127.5 / bound)) + 128
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def solve(previous, following, solver):
    """TV-L1 of any number of pairs, grey float32 (P, S, S), GRAPH_BATCH at a time: float32 (P, S,
    S, 2), pixels.
    """
    count, size = tf.shape(previous)[0], previous.shape[1]
    # Black pairs fill the last chunk: they stand still after one iteration.
    filled = [
        tf.reshape(
            tf.pad(images, ((0, -count % GRAPH_BATCH), (0, 0), (0, 0))),
            (-1, GRAPH_BATCH, size, size),
        )
        for images in (previous, following)
    ]
    fields = tf.map_fn(
        lambda pair: solver(*pair),
        tuple(filled),
        fn_output_signature=tf.TensorSpec((GRAPH_BATCH, size, size, 2), tf.float32),
        parallel_iterations=1,
    )
    return tf.reshape(fields, (-1, size, size, 2))[:count]


def _cut_windows(videos, needed):
    """The part of frames uint8 (B, M, H, W, 3) in which the videos (B, N, H, W, 3) move most."""

    def cut(pair):
        video, frames = pair
        top, left, side = motion_window(video)
        return frames[:, top : top + side, left : left + side]

    result = tf.TensorSpec((None, None, None, 3), tf.uint8)
    return tf.map_fn(cut, (videos, needed), fn_output_signature=result, parallel_iterations=1)


def as_stored(images, stored: RecordsConfig):
    """Images uint8 (M, H, W, C), of 3 channels (RGB) or 1, as records give them back; M may be
    unknown.
    """
    if stored.image_format == "png":
        return images
    shape = images.shape[1:]
    kind = "rgb" if shape[-1] == 3 else "grayscale"

    def through_jpeg(image):
        encoded = tf.io.encode_jpeg(image, kind, stored.jpeg_quality)
        # The others of TensorFlow's decoders are not OpenCV's.
        return tf.io.decode_jpeg(encoded, shape[-1], dct_method="INTEGER_ACCURATE")

    return tf.map_fn(through_jpeg, images, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def make_clip(
    frames, clip: ClipConfig, stored: RecordsConfig, streams="both", solver=tvl1_keras.solve
):
    """The test clip of whole videos: resized, sampled, with the flow fields that it needs.

    The frames are uint8 (B, N, H, W, 3), RGB; B, N >= 2, H and W may be unknown. The solver takes
    float32 (GRAPH_BATCH, S, S) pairs. Returns uint8 `rgb` (B, T, S, S, 3) and `flow` (B, T, S, S,
    2L) as far as the streams ask for them, and the frames' numbers, int32 (T,).
    """
    batch, num_frames = tf.shape(frames)[0], tf.shape(frames)[1]
    enough = tf.debugging.assert_greater_equal(num_frames, 2, "optical flow needs two frames")
    with tf.control_dependencies([enough]):
        numbers, fields = sample(num_frames, clip)
    fields, field_of = tf.unique(tf.reshape(fields, (-1,)))  # u; (t l)
    wanted = [numbers] * (streams != "flow") + [fields, fields + 1] * (streams != "rgb")
    needed, place = tf.unique(tf.concat(wanted, axis=0))
    size = clip.image_size
    small = tf.gather(frames, needed, axis=1)  # b m h w c
    mode = clip.resize
    if mode == "motion":
        small, mode = _cut_windows(frames, small), "stretch"
    small = tf.reshape(small, (-1, *tf.unstack(tf.shape(small)[2:4]), 3))
    small = resize(small, size, mode)
    small = tf.reshape(small, (batch, -1, size, size, 3))
    inputs = {}
    if streams != "flow":
        rgb = tf.gather(small, place[: clip.num_frames], axis=1)
        rgb = as_stored(tf.reshape(rgb, (-1, size, size, 3)), stored)
        inputs["rgb"] = tf.reshape(rgb, (batch, clip.num_frames, size, size, 3))
    if streams != "rgb":
        pair = place[-2 * tf.size(fields) :]
        gray = tf.cast(grayscale(small), tf.float32)  # b m h w
        previous, following = (
            tf.reshape(tf.gather(gray, part, axis=1), (-1, size, size))  # (b u) h w
            for part in tf.split(pair, [tf.size(fields)] * 2)
        )
        planes = encode(solve(previous, following, solver), clip.flow_bound)
        # One gray image a field, x above y.
        planes = tf.reshape(tf.transpose(planes, (0, 3, 1, 2)), (-1, 2 * size, size, 1))
        planes = tf.reshape(as_stored(planes, stored), (-1, 2, size, size))
        planes = tf.transpose(planes, (0, 2, 3, 1))
        planes = tf.reshape(planes, (batch, -1, size, size, 2))
        planes = tf.gather(planes, field_of, axis=1)  # b (t l) h w xy
        shape = (batch, clip.num_frames, clip.flow_length, size, size, 2)
        planes = tf.transpose(tf.reshape(planes, shape), (0, 1, 3, 4, 2, 5))  # b t h w l xy
        channels = 2 * clip.flow_length
        inputs["flow"] = tf.reshape(planes, (batch, clip.num_frames, size, size, channels))
    return inputs, numbers
