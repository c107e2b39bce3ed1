"""Clips to batches: an epoch as pure data, its clips mirrored and cropped, read from records."""
