"""From decoded frames to small and grey ones, as TensorFlow operations.

Each is that of `preprocessing.video` to the last bit.
"""

import tensorflow as tf

from preprocessing.video import motion

# OpenCV's RGB to gray in 15-bit fixed point.
GRAY_WEIGHTS, GRAY_SHIFT = (9798, 19235, 3735), 15
SLIVER = 1e-3  # of a pixel: what OpenCV's resize by area does not count


def _scales(source_size, target_size):
    """Target pixels a source pixel, and its inverse, rounded as OpenCV rounds them."""
    growth = tf.cast(target_size, tf.float64) / tf.cast(source_size, tf.float64)
    return growth, 1 / growth


def _area_taps(source_size, target_size, first, count, whole):
    """Resizing of one axis by area: each target pixel is the mean of the source that it covers.

    Sizes are scalar int32 tensors, in pixels; `count` target pixels are wanted, from `first` on;
    `whole` says whether both sides shrink by whole numbers, where OpenCV adds first and divides
    then. Returns positions int32 (K, count) and weights float32 (K, count) of the K source pixels,
    in order, that a target pixel may touch; those that it does not touch weigh 0.
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
    """Resizing of one axis by interpolation, in OpenCV's 11-bit fixed point; arguments as of
    `_area_taps`.

    In a resize by area, where an axis grows, OpenCV interpolates between the pixels' edges instead
    of their centres. Returns two taps (positions, weights), int32 (count,) each; positions reach -1
    and source_size.
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

    The sums are divided by `divisor`, and halves rounded up or else to the even number: uint8 (H,
    W, 3) to (S, S, 3).
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
    """As `preprocessing.video.resize`, for a batch: uint8 (M, H, W, 3) to (M, size, size, 3).

    M, H and W may be unknown. The mode is `stretch` or `crop`; for `motion`, cut the window
    (`motion_window`) and stretch it.
    """
    sides, scaled = tf.shape(frames)[1:3], tf.constant([size, size])
    if mode == "crop":
        short = max(size, round(size * 256 / 224))
        scale = short / tf.cast(tf.reduce_min(sides), tf.float64)
        scaled = tf.cast(tf.round(tf.cast(sides, tf.float64) * scale), tf.int32)
        scaled = tf.maximum(scaled, short)
    axes = [(sides[k], scaled[k], (scaled[k] - size) // 2, size) for k in (0, 1)]
    area = tf.reduce_prod(scaled) < tf.reduce_prod(sides)

    def shrink():
        whole = tf.reduce_all(sides % scaled == 0)
        rows, columns = (_area_taps(*axis, whole) for axis in axes)
        divisor = tf.cast(tf.where(whole, tf.reduce_prod(sides // scaled), 1), tf.float32)
        # OpenCV rounds halves up where it halves both sides, else to the even number.
        halves_up = tf.reduce_all(2 * scaled == sides)
        return each(lambda frame: _shrink(frame, rows, columns, divisor, halves_up))

    def interpolate():
        rows, columns = (_linear_taps(*axis, area) for axis in axes)
        return each(lambda frame: _interpolate(frame, rows, columns))

    def each(one):
        # Frame by frame, since in 32 bits a batch of large ones would fill the memory.
        result = tf.TensorSpec((size, size, 3), tf.uint8)
        return tf.map_fn(one, frames, fn_output_signature=result)

    return tf.cond(area & tf.reduce_all(scaled <= sides), shrink, interpolate)


def grayscale(frames):
    """As OpenCV's RGB to gray: uint8 (..., 3) to uint8 (...)."""
    weighted = tf.cast(frames, tf.int32) * tf.constant(GRAY_WEIGHTS)
    total = tf.reduce_sum(weighted, axis=-1) + (1 << (GRAY_SHIFT - 1))
    return tf.cast(total // (1 << GRAY_SHIFT), tf.uint8)


def motion_window(frames):
    """As `preprocessing.video.MotionMap.window`, for one video, uint8 (N, H, W, 3).

    N, H and W may be unknown. Returns scalar int32 tensors: top, left and side, in pixels.
    """
    grid = motion.GRID
    height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    side = tf.maximum(tf.minimum(height, width) * motion.SHARE[0] // motion.SHARE[1], 1)
    rows, columns = (tf.maximum((2 * grid * side + n) // (2 * n), 1) for n in (height, width))
    small = tf.cast(grayscale(resize(frames, grid, "stretch")), tf.int32)  # n y x
    change = tf.abs(small[motion.LAG :] - small[: -motion.LAG])
    mean = tf.reduce_sum(change, axis=(1, 2), keepdims=True) // grid**2
    change = tf.clip_by_value(change - mean - motion.NOISE, 0, motion.LIMIT)
    total = tf.cast(tf.reduce_sum(tf.cast(change, tf.int64), axis=0), tf.int64)
    total = tf.pad(tf.cumsum(tf.cumsum(total, 0), 1), ((1, 0), (1, 0)))
    lower, upper = total[rows:], total[:-rows]
    sums = lower[:, columns:] - lower[:, :-columns] - upper[:, columns:] + upper[:, :-columns]
    shape = tf.shape(sums)
    best = tf.argmax(tf.reshape(sums, (-1,)), output_type=tf.int32)
    middle = (shape[0] - 1) // 2 * shape[1] + (shape[1] - 1) // 2
    best = tf.where(tf.reduce_any(sums != 0), best, middle)
    row, column = best // shape[1], best % shape[1]
    top = (2 * row + rows) * height // (2 * grid) - side // 2
    left = (2 * column + columns) * width // (2 * grid) - side // 2
    return tf.clip_by_value(top, 0, height - side), tf.clip_by_value(left, 0, width - side), side
