"""What the streams make of frames: maps that training reads, and pooled features for other uses."""
