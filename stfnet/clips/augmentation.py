"""Augmentation of clips as a plan asks for it: mirrored left to right, cropped and enlarged."""

import functools

import tensorflow as tf

from stfnet.clips.plans import CROPPED, MIRRORED


def mirror(rgb, fields):
    """Mirrors a clip left to right; the x flow changes its sign.

    Zero displacement is 128, so a byte v of the x plane becomes 256 - v (0, the clipped end,
    becomes 255).

    Args:
        rgb: uint8 (T, H, W, 3).
        fields: uint8 (T, L, 2, H, W), x and y plane of each flow field.

    Returns:
        (rgb, fields) of the same shapes.
    """
    rgb, fields = rgb[:, :, ::-1], fields[..., ::-1]
    negated = tf.cast(tf.minimum(256 - tf.cast(fields, tf.int32), 255), tf.uint8)
    return rgb, tf.where([[[True]], [[False]]], negated, fields)


def crop_and_enlarge(rgb, fields, crop):
    """Keeps a square of a clip and enlarges it to the full size, bilinearly.

    Flow is in pixels, so enlarging by 1 / side multiplies the displacements by 1 / side too.

    Args:
        rgb: uint8 (T, H, W, 3).
        fields: uint8 (T, L, 2, H, W), x and y plane of each flow field.
        crop: float32 (3,), top, left and side of the square, as fractions of the image's side.

    Returns:
        (rgb, fields) of the same shapes.
    """
    top, left, side = crop[0], crop[1], crop[2]
    size = rgb.shape[1:3]

    def enlarged(images):
        count = images.shape[0]
        box = tf.tile([[top, left, top + side, left + side]], (count, 1))
        return tf.image.crop_and_resize(tf.cast(images, tf.float32), box, tf.range(count), size)

    planes = enlarged(tf.reshape(fields, (-1, *size, 1)))
    planes = 128 + (planes - 128) / side
    return (
        tf.saturate_cast(tf.round(enlarged(rgb)), tf.uint8),
        tf.reshape(tf.saturate_cast(tf.round(planes), tf.uint8), fields.shape),
    )


@functools.lru_cache
def augmenter(augmentation: str):
    """The function that changes a batch of clips as the plan says.

    Args:
        augmentation: what the plan may ask for, a value of `training.augmentation`.

    Returns:
        Function of (rows, rgb, fields): `rows` has the plan's `flip` (B,) and `crop` (B, 3), the
        clips are uint8 (B, T, H, W, 3) and (B, T, L, 2, H, W). It returns (rgb, fields).
    """

    def augment(arguments):
        flip, crop, rgb, fields = arguments
        if augmentation in MIRRORED:
            rgb, fields = tf.cond(flip, lambda: mirror(rgb, fields), lambda: (rgb, fields))
        if augmentation in CROPPED:
            rgb, fields = crop_and_enlarge(rgb, fields, crop)
        return rgb, fields

    @tf.function
    def augment_batch(rows, rgb, fields):
        if augmentation == "none":
            return rgb, fields
        arguments = rows["flip"], rows["crop"], rgb, fields
        signature = (
            tf.TensorSpec(rgb.shape[1:], tf.uint8),
            tf.TensorSpec(fields.shape[1:], tf.uint8),
        )
        return tf.map_fn(augment, arguments, fn_output_signature=signature)

    return augment_batch
