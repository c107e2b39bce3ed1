"""Crops of clips, enlarged by the device that trains, where they cost next to nothing.

Mirrored clips are mirrored as they are decoded (`preprocessing.records.reader`).
"""

import tensorflow as tf


def crop_and_enlarge(rgb, flow, crop):
    """Keeps a square of each clip and enlarges it to the full size, bilinearly.

    The corner pixels are aligned, as in `tf.image.crop_and_resize`: pixel k of n stands at
    k / (n - 1) of the square. Flow is in pixels, so enlarging by 1 / side multiplies the
    displacements by 1 / side too.

    Args:
        rgb: uint8 (B, T, H, W, 3).
        flow: uint8 (B, T, H, W, 2L), stacks of flow fields.
        crop: float32 (B, 3), top, left and side of each clip's square, as fractions of the image's
            side.

    Returns:
        (rgb, flow) of the same shapes, rounded to uint8.
    """
    side = tf.reshape(crop[:, 2], (-1, 1, 1, 1, 1))
    displacements = (_enlarged(flow, crop) - 128) / side
    return _to_bytes(_enlarged(rgb, crop)), _to_bytes(128 + displacements)


def _enlarged(images, crop):
    """The squares of uint8 (B, T, H, W, C) at the full size, float32."""
    top, left, side = tf.unstack(crop, axis=1)
    rows = _between(images, top, side, axis=2)  # while they are bytes: the cheaper half
    return _between(rows, left, side, axis=3)


def _between(images, first, side, axis):
    """Interpolates along an axis at points from `first` to `first + side` of its length."""
    size = images.shape[axis]
    steps = tf.range(size, dtype=tf.float32) / max(size - 1, 1)
    places = (first[:, None] + steps * side[:, None]) * (size - 1)  # b n
    before = tf.clip_by_value(tf.floor(places), 0, max(size - 2, 0))
    index = tf.cast(before, tf.int32)
    shape = [-1, *(size if k == axis else 1 for k in range(1, 5))]
    share = tf.reshape(places - before, shape)

    def at(index):
        return tf.cast(tf.gather(images, index, axis=axis, batch_dims=1), tf.float32)

    low, high = at(index), at(tf.minimum(index + 1, size - 1))
    return low + (high - low) * share


def _to_bytes(values):
    return tf.saturate_cast(tf.round(values), tf.uint8)
