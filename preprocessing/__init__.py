"""From video files to TFRecords: decoding, optical flow, data set catalogues, records."""
