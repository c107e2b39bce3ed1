import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def write_video():
    """Writes a small real video: a bright square that moves right, a white corner top left."""

    def write(path, num_frames=6, fourcc="mp4v", size=(64, 48), step=3, seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        generator = np.random.default_rng(seed)
        texture = generator.integers(0, 120, (height, width, 3), np.uint8)
        texture = cv2.GaussianBlur(texture, (0, 0), 2)
        texture[: height // 6, : width // 6] = 255
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), 25, size
        )
        assert writer.isOpened(), path
        for index in range(num_frames):
            frame = texture.copy()
            left = (5 + step * index) % (width - 12)
            frame[height // 2 : height // 2 + 10, left : left + 12] = (40, 210, 90)
            writer.write(frame)
        writer.release()
        return path

    return write
