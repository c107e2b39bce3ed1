"""The numbers of TV-L1: OpenCV's defaults for its DualTVL1OpticalFlow, and the sizes of batches."""

import numpy as np

GIVEN = "given"  # as a value of `flow_method`: flow that other programs made

TAU = 0.25  # time step of the dual update
LAMBDA = 0.15  # weight of the data term, for grey values in [0, 255]
THETA = 0.3  # how tightly the two halves of the split problem are coupled
EPSILON = 0.01  # root mean square change of the flow, pixels, under which a warp ends
SCALES = 5
SCALE_STEP = 0.8
SMALLEST_SIDE = 16  # pixels; a scale below this is not used
WARPS = 5
OUTER_ITERATIONS = 10
INNER_ITERATIONS = 30
MEDIAN_SIZE = 5  # pixels
CUBIC_A = -0.75  # OpenCV's cubic kernel; Keys' own choice is -0.5
# Zeros around a plane, so that every tap of a position falls inside: one from -2 to the size + 1.
CUBIC_BORDER = 4
# Squared gradient below which OpenCV takes the image as flat.
LEAST_GRADIENT = float(np.finfo(np.float32).eps)

# Pairs of frames that the Keras solver computes at once, where the caller names no number: by the
# kind of the device (a CPU is slower with more, which leave its cache; a GPU is the faster the more
# share the many small kernels of the last pairs that move, 3 GB of them at 224 x 224),
BATCHES = {"cpu": 8, "gpu": 256, "tpu": 64}
# and in an exported graph, which bounds its memory.
GRAPH_BATCH = 16
