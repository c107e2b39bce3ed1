"""One stream of the two: the convolutions of VGG-16 over every frame of a clip."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from stfnet.config import BLOCK_CHANNELS

# Channels of each block's convolutions (Simonyan & Zisserman 2015, configuration D).
VGG16_BLOCKS = tuple(
    (channels,) * count for channels, count in zip(BLOCK_CHANNELS, (2, 2, 3, 3, 3), strict=True)
)
BLOCKS = len(VGG16_BLOCKS)


def map_shape(
    size: Sequence[int], block: int, width_divisor: int = 1, levels: Sequence[int] = (BLOCKS,)
) -> tuple[int, ...]:
    """Shape of the map that a frame has at the end of a block, after its pooling.

    Args:
        size: of the frame, (height, width) in pixels.
        block: 1 to 5, whose pooling is left out; 5 is the end of the stream, with its levels.
        width_divisor, levels: as in `VGGStream`.

    Returns:
        (height, width, channels).
    """
    shrunk = 2 ** min(block, BLOCKS - 1)
    channels = sum(BLOCK_CHANNELS[level - 1] for level in (levels if block == BLOCKS else (block,)))
    return (*(side // shrunk for side in size), channels // width_divisor)


@keras.saving.register_keras_serializable(package="stfnet")
class VGGStream(keras.layers.Layer):
    """VGG-16 from block1_conv1 to block5_conv3 after its ReLU, without pool5.

    Time is folded into the batch, so that all frames of all clips pass in one convolution. The
    13 convolutions are named as in keras.applications.
    They start from He's normal initialiser, with which a narrow stream trains from scratch.

    Example:
        >>> stream = stfnet.layers.VGGStream(width_divisor=32)
        >>> stream.freeze(3)
        >>> tuple(stream(np.zeros((2, 17, 64, 48, 8), "float32")).shape)  # flow stacks, 64 x 48
        (2, 17, 4, 3, 16)

    Args:
        width_divisor: every channel count is divided by this; 1 is VGG-16.
        levels: the blocks of whose maps the stream's map is made, in rising order and with the
            last; (5,) is the paper's. Those of earlier blocks are averaged to the cells of the
            last, and all channels stand one after the other (Hariharan et al. 2015).

    Attributes:
        convolutions: name -> Conv2D, in order.
        remat: set it to compute each block's activations again in the backward pass, instead of
            keeping them: a quarter more arithmetic, most of the memory is saved. Not in the
            layer's configuration.

    Call arguments:
        clips: floating (B, T, H, W, C), any C; or the maps at the end of block `first` - 1. Only B
            may be unknown.
        first, last: the blocks to compute, counted from 1; all by default. With `first` 6 none is
            left, and the maps are returned. The block before `first` is no later than the first
            level.

    Returns:
        Floating, the maps at the end of block `last`, see `map_shape`; by default
        (B, T, H // 16, W // 16, 512 // width_divisor).
    """

    def __init__(
        self, width_divisor: int = 1, levels: Sequence[int] = (BLOCKS,), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width_divisor = width_divisor
        self.levels = tuple(levels)
        self.remat = False
        self.convolutions = {}
        for block, widths in enumerate(VGG16_BLOCKS, 1):
            for number, width in enumerate(widths, 1):
                name = f"block{block}_conv{number}"
                self.convolutions[name] = keras.layers.Conv2D(
                    width // width_divisor,
                    3,
                    padding="same",
                    data_format="channels_last",
                    activation="relu",
                    kernel_initializer="he_normal",
                    dtype=self.dtype_policy,
                    name=name,
                )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        _, _, *size, channels = input_shape
        shape = (None, *size, channels)
        for convolution in self.convolutions.values():
            convolution.build(shape)
            shape = (None, *size, convolution.filters)

    def call(self, clips: KerasTensor, first: int = 1, last: int = BLOCKS) -> KerasTensor:
        _, frames, *size, channels = clips.shape
        x = ops.reshape(clips, (-1, *size, channels))  # b t h w c -> (b t) h w c
        maps = {first - 1: x}  # by the block at whose end they are
        for number in range(first, last + 1):
            block = self._block(number)
            # Keras' RematScope passes keyword arguments on, which TensorFlow's graphs refuse.
            x = maps[number] = keras.remat(block)(x) if self.remat else block(x)
        if last == BLOCKS >= first and len(self.levels) > 1:
            x = ops.concatenate([self._shrunk(maps[level], x) for level in self.levels], axis=-1)
        return ops.reshape(x, (-1, frames, *x.shape[1:]))  # (b t) h w c -> b t h w c

    def freeze(self, blocks: int) -> None:
        """Keeps the weights of the first blocks as they are; the others are trained.

        Args:
            blocks: 0 (none) to 5 (the whole stream). It takes effect in the training steps that
                are compiled afterwards.
        """
        for number in range(1, BLOCKS + 1):
            for convolution in self.convolutions_of(number):
                convolution.trainable = number > blocks

    def convolutions_of(self, number: int) -> list[keras.layers.Conv2D]:
        """The convolutions of a block, counted from 1, in order."""
        begin = sum(map(len, VGG16_BLOCKS[: number - 1]))
        convolutions = list(self.convolutions.values())
        return convolutions[begin : begin + len(VGG16_BLOCKS[number - 1])]

    def activations(self, images: KerasTensor) -> Iterator[KerasTensor]:
        """The maps of every convolution after its ReLU, in order, of images (N, H, W, C)."""
        for number in range(1, BLOCKS + 1):
            images = self._pooled(images) if number > 1 else images
            for convolution in self.convolutions_of(number):
                images = convolution(images)
                yield images

    def _block(self, number: int) -> Callable[[KerasTensor], KerasTensor]:
        """Function of a block's input: its convolutions and, but for the last, its pooling."""

        def block(x: KerasTensor) -> KerasTensor:
            for convolution in self.convolutions_of(number):
                x = convolution(x)
            return x if number == BLOCKS else self._pooled(x)

        return block

    def _pooled(self, x: KerasTensor) -> KerasTensor:
        return ops.max_pool(x, 2, strides=2, data_format="channels_last")

    def _shrunk(self, x: KerasTensor, smallest: KerasTensor) -> KerasTensor:
        """A map averaged to the cells of the smallest."""
        factor = x.shape[1] // smallest.shape[1]
        if factor == 1:
            return x
        return ops.average_pool(x, factor, strides=factor, data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width_divisor": self.width_divisor,
            "levels": list(self.levels),
        }
