"""From video files to TFRecords: decoding, optical flow, data set catalogues, records."""

import os

# Pixels of the largest image that OpenCV decodes: a flow field of 8192 x 8192 pixels. Its own limit
# is 2 ** 30, and a damaged header of a few bytes makes it take 5 GB. OpenCV reads this when it is
# imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2 * 8192 * 8192))
