"""From decoded frames of any number and size to the network's clip, as TensorFlow operations.

The exported model carries this graph, so that a server needs neither OpenCV nor this project. Each
step is that of `clip.read_clip`: frames, grey and encoding to the last bit, and flow as
near as the solver in Keras' operations comes to OpenCV's.
"""

import tensorflow as tf

from preprocessing.flow import tvl1_keras
from preprocessing.flow.constants import GRAPH_BATCH
from stfnet.config import ClipConfig

# OpenCV's RGB to gray in 15-bit fixed point.
GRAY_WEIGHTS, GRAY_SHIFT = (9798, 19235, 3735), 15
SLIVER = 1e-3  # of a pixel: what OpenCV's resize by area does not count


def sample(num_frames, clip: ClipConfig):
    """The test clip's frames and flow fields (Eqs. 13-14), as `stfnet.sampling` has them.

    Args:
        num_frames: scalar int32 tensor, N; at least 2.
        clip: the clip configuration.

    Returns:
        (int32 (T,), int32 (T, L)).
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


def _scales(source_size, target_size):
    """Target pixels a source pixel, and its inverse, rounded as OpenCV rounds them."""
    growth = tf.cast(target_size, tf.float64) / tf.cast(source_size, tf.float64)
    return growth, 1 / growth


def _area_taps(source_size, target_size, first, count, whole):
    """Resizing of one axis by area: each target pixel is the mean of the source that it covers.

    Args:
        source_size, target_size: pixels before and after, scalar int32 tensors.
        first, count: the target pixels wanted.
        whole: whether both sides shrink by whole numbers, where OpenCV adds first and divides then.

    Returns:
        Positions int32 (K, count) and weights float32 (K, count) of the K source pixels, in order,
        that a target pixel may touch; those that it does not touch weigh 0.
    """
    source, scale = tf.cast(source_size, tf.float64), _scales(source_size, target_size)[1]
    start = tf.cast(first + tf.range(count), tf.float64) * scale
    end, cell = start + scale, tf.minimum(scale, source - start)
    high = tf.minimum(tf.floor(end), source - 1)
    low = tf.minimum(tf.math.ceil(start), high)
    taps = tf.range(tf.math.ceil(scale) + 2)[:, None]
    position = low - 1 + taps
    nothing, pixel = tf.zeros_like(start), tf.ones_like(start)
    left = tf.where(low - start > SLIVER, low - start, nothing)
    right = tf.minimum(end - high, tf.minimum(cell, pixel))
    right = tf.where(end - high > SLIVER, right, nothing)
    covered = tf.where(position < low, left, tf.where(position < high, pixel, right))
    covered = tf.where(position > high, nothing, covered)
    weights = tf.where(whole, tf.sign(covered), covered / cell)
    position = tf.clip_by_value(position, 0, source - 1)
    return tf.cast(position, tf.int32), tf.cast(weights, tf.float32)


def _linear_taps(source_size, target_size, first, count, area):
    """Resizing of one axis by interpolation, in OpenCV's 11-bit fixed point.

    Args:
        source_size, target_size, first, count: as `_area_taps`.
        area: whether the resize is by area, in which, where an axis grows, OpenCV interpolates
            between the pixels' edges instead of their centres.

    Returns:
        Two taps (positions, weights), int32 (count,) each; positions reach -1 and source_size.
    """
    growth, scale = _scales(source_size, target_size)
    position = tf.cast(first + tf.range(count), tf.float64)
    center = tf.cast((position + 0.5) * scale - 0.5, tf.float32)
    edge = tf.floor(position * scale)
    low = tf.where(area, tf.cast(edge, tf.float32), tf.floor(center))
    beyond = tf.maximum(tf.cast(position + 1 - (edge + 1) * growth, tf.float32), 0)
    fraction = tf.where(area, beyond - tf.floor(beyond), center - low)
    low = tf.cast(low, tf.int32)
    weights = [tf.cast(tf.round(weight * 2048), tf.int32) for weight in (1 - fraction, fraction)]
    return (low, weights[0]), (low + 1, weights[1])


def _weighted_sum(lines, taps):
    """Sums the lines (N, M) that `_area_taps` name, one after the other: float32 (count, M)."""
    positions, weights = taps

    def add(k, total):
        line = tf.cast(tf.gather(lines, positions[k]), tf.float32)
        return k + 1, total + line * weights[k][:, None]

    total = tf.zeros((positions.shape[1], tf.shape(lines)[1]))
    count = tf.shape(positions)[0]
    return tf.while_loop(lambda k, _: k < count, add, (0, total), parallel_iterations=1)[1]


def _shrink(frame, rows, columns, divisor, halves_up):
    """Applies `_area_taps` along both axes of a frame, as OpenCV to the last bit.

    Args:
        frame: uint8 (H, W, 3).
        rows, columns: taps.
        divisor: by which the sums are divided.
        halves_up: whether halves are rounded up, else to the even number.

    Returns:
        uint8 (S, S, 3).
    """
    height, width = tf.shape(frame)[0], tf.shape(frame)[1]
    lines = tf.reshape(tf.transpose(frame, (1, 0, 2)), (width, height * 3))  # w (h c)
    lines = _weighted_sum(lines, columns)
    size = lines.shape[0]
    lines = tf.transpose(tf.reshape(lines, (size, height, 3)), (1, 0, 2))  # h v c
    values = _weighted_sum(tf.reshape(lines, (height, size * 3)), rows) * (1 / divisor)
    rounded = tf.where(halves_up, tf.floor(values + 0.5), tf.round(values))
    return tf.cast(tf.reshape(rounded, (size, size, 3)), tf.uint8)


def _interpolate(frame, rows, columns):
    """Applies `_linear_taps` along both axes of a frame: uint8 (H, W, 3) to (S, S, 3)."""
    height, width = tf.shape(frame)[0], tf.shape(frame)[1]

    def tap(image, positions, last, axis):
        positions = tf.clip_by_value(positions, 0, last)
        return tf.cast(tf.gather(image, positions, axis=axis), tf.int32)

    total = 2
    for above_or_below, weight in rows:
        row = tap(frame, above_or_below, height - 1, 0)  # s w c
        across = sum(
            tap(row, left_or_right, width - 1, 1) * weight[:, None]
            for left_or_right, weight in columns
        )
        total += (weight[:, None, None] * (across // 16)) // 65536
    return tf.cast(tf.clip_by_value(total // 4, 0, 255), tf.uint8)


def resize(frames, size, mode):
    """As `preprocessing.video.resize`, for a batch.

    Args:
        frames: uint8 (M, H, W, 3); M, H and W may be unknown.
        size: side of the result, in pixels.
        mode: `stretch` or `crop`.

    Returns:
        uint8 (M, size, size, 3).
    """
    height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    if mode == "stretch":
        new_height = new_width = tf.constant(size)
    else:
        short = max(size, round(size * 256 / 224))
        scale = short / tf.cast(tf.minimum(height, width), tf.float64)

        def scaled(side):
            rounded = tf.cast(tf.round(tf.cast(side, tf.float64) * scale), tf.int32)
            return tf.maximum(rounded, short)

        new_height, new_width = scaled(height), scaled(width)
    vertical = (height, new_height, (new_height - size) // 2, size)
    horizontal = (width, new_width, (new_width - size) // 2, size)
    area = new_height * new_width < height * width

    def shrink():
        whole = (height % new_height == 0) & (width % new_width == 0)
        rows, columns = _area_taps(*vertical, whole), _area_taps(*horizontal, whole)
        divisor = tf.where(whole, (height // new_height) * (width // new_width), 1)
        # OpenCV rounds halves up where it halves both sides, else to the even number.
        halves_up = (2 * new_height == height) & (2 * new_width == width)
        divisor = tf.cast(divisor, tf.float32)
        return each(lambda frame: _shrink(frame, rows, columns, divisor, halves_up))

    def interpolate():
        rows, columns = _linear_taps(*vertical, area), _linear_taps(*horizontal, area)
        return each(lambda frame: _interpolate(frame, rows, columns))

    def each(one):
        # Frame by frame, since in 32 bits a batch of large ones would fill the memory.
        result = tf.TensorSpec((size, size, 3), tf.uint8)
        return tf.map_fn(one, frames, fn_output_signature=result)

    return tf.cond(area & (new_height <= height) & (new_width <= width), shrink, interpolate)


def grayscale(frames):
    """As OpenCV's RGB to gray: uint8 (..., 3) to uint8 (...)."""
    weighted = tf.cast(frames, tf.int32) * tf.constant(GRAY_WEIGHTS)
    total = tf.reduce_sum(weighted, axis=-1) + (1 << (GRAY_SHIFT - 1))
    return tf.cast(total // (1 << GRAY_SHIFT), tf.uint8)


def encode(field, bound):
    """As `preprocessing.flow.encode`: displacements in pixels to uint8."""
    levels = tf.round(field * (127.5 / bound)) + 128
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def solve(previous, following, solver):
    """TV-L1 of any number of pairs, GRAPH_BATCH at a time.

    Args:
        previous, following: float32 (P, S, S), grey; P may be unknown.
        solver: function of two float32 (GRAPH_BATCH, S, S).

    Returns:
        float32 (P, S, S, 2), pixels.
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


def make_clip(frames, clip: ClipConfig, streams="both", solver=tvl1_keras.solve):
    """The test clip of whole videos: resized, sampled, with the flow fields that it needs.

    Args:
        frames: uint8 (B, N, H, W, 3), RGB; B, N >= 2, H and W may be unknown.
        clip: the clip configuration.
        streams: `both`, `rgb` or `flow`.
        solver: TV-L1 of float32 (GRAPH_BATCH, S, S) pairs.

    Returns:
        (inputs, frame numbers): uint8 `rgb` (B, T, S, S, 3) and `flow` (B, T, S, S, 2L) as far as
        asked for; int32 (T,).
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
    small = tf.reshape(small, (-1, *tf.unstack(tf.shape(frames)[2:4]), 3))
    small = resize(small, size, clip.resize)
    small = tf.reshape(small, (batch, -1, size, size, 3))
    inputs = {}
    if streams != "flow":
        rgb = tf.gather(small, place[: clip.num_frames], axis=1)
        inputs["rgb"] = tf.ensure_shape(rgb, (None, clip.num_frames, size, size, 3))
    if streams != "rgb":
        pair = place[-2 * tf.size(fields) :]
        gray = tf.cast(grayscale(small), tf.float32)  # b m h w
        previous, following = (
            tf.reshape(tf.gather(gray, part, axis=1), (-1, size, size))  # (b u) h w
            for part in tf.split(pair, [tf.size(fields)] * 2)
        )
        planes = encode(solve(previous, following, solver), clip.flow_bound)
        planes = tf.reshape(planes, (batch, -1, size, size, 2))
        planes = tf.gather(planes, field_of, axis=1)  # b (t l) h w xy
        shape = (batch, clip.num_frames, clip.flow_length, size, size, 2)
        planes = tf.transpose(tf.reshape(planes, shape), (0, 1, 3, 4, 2, 5))  # b t h w l xy
        channels = 2 * clip.flow_length
        inputs["flow"] = tf.reshape(planes, (batch, clip.num_frames, size, size, channels))
    return inputs, numbers
