"""Where the synthetic figure stands and what films it: wall, floor, light, camera and sensor."""

from dataclasses import dataclass

import cv2
import numpy as np

FRAME_SIZE = 128  # pixels, both sides of a frame
SUPERSAMPLING = 2  # canvas pixels per frame pixel
MARGIN = 12  # canvas pixels on each side for the camera to move in
CANVAS_SIZE = FRAME_SIZE * SUPERSAMPLING + 2 * MARGIN
TILE = 44  # canvas pixels after which the floor's pattern repeats


@dataclass(frozen=True)
class Scene:
    """Surroundings and camera style that one group of clips shares.

    Attributes:
        wall: uint8 (CANVAS_SIZE, CANVAS_SIZE, 3) RGB, without the floor.
        floor: uint8 (floor height, CANVAS_SIZE + TILE, 3) RGB, repeating every `TILE` columns.
        light: float32 (FRAME_SIZE, FRAME_SIZE, 1), factor on every frame.
        origin: canvas pixel (x, y) under the figure.
        height: of the figure, canvas pixels.
        sway: farthest the camera pans from its rest, canvas pixels.
        jitter: standard deviation of the hand's tremor, canvas pixels.
        noise: standard deviation of the sensor's noise, grey levels.
        quality: of the camera's JPEG compression.
        fps: frames per second of the video file.
    """

    wall: np.ndarray
    floor: np.ndarray
    light: np.ndarray
    origin: tuple[float, float]
    height: float
    sway: float
    jitter: float
    noise: float
    quality: int
    fps: int


def random_scene(rng: np.random.Generator) -> Scene:
    """Draws wall, floor, light and camera style."""
    ground = CANVAS_SIZE - MARGIN - rng.uniform(16.0, 24.0)
    floor_height = round(CANVAS_SIZE - ground + rng.uniform(14.0, 22.0))
    return Scene(
        wall=_wall(rng),
        floor=_floor(rng, floor_height),
        light=_light(rng),
        origin=(CANVAS_SIZE / 2 - rng.uniform(22.0, 32.0), ground),
        height=rng.uniform(174.0, 190.0),
        sway=rng.uniform(0.0, 7.0),
        jitter=rng.uniform(0.0, 0.5),
        noise=rng.uniform(1.5, 5.0),
        quality=int(rng.integers(75, 96)),
        fps=int(rng.integers(15, 26)),
    )


def backdrop(scene: Scene, travel: float) -> np.ndarray:
    """Paints wall and floor on a fresh canvas.

    Args:
        travel: way the figure has walked over the floor, in figure heights.

    Returns:
        uint8 (CANVAS_SIZE, CANVAS_SIZE, 3) RGB.
    """
    canvas = scene.wall.copy()
    column = round(travel * scene.height) % TILE
    canvas[-len(scene.floor) :] = scene.floor[:, column : column + CANVAS_SIZE]
    x, y = scene.origin
    shadow = canvas[round(y) - 4 : round(y) + 9, round(x) - 62 : round(x) + 63]
    falloff = np.hypot(*np.meshgrid(np.linspace(-1, 1, 125), np.linspace(-1, 1, 13)))
    shadow[:] = shadow * (1.0 - 0.4 * np.clip(1.0 - falloff, 0.0, 1.0))[..., None]
    return canvas


def camera_path(scene: Scene, rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Draws where the camera points: a slow pan with a hand's tremor.

    Returns:
        int (num_frames, 2): left and top canvas pixel of each frame, within the margin.
    """
    time = np.linspace(0.0, 1.0, num_frames)[:, None]
    pan = scene.sway * rng.uniform(0.4, 1.0, 2) * (1.0, 0.4)
    path = pan * np.sin(np.pi * (time * rng.uniform(0.5, 1.0, 2) + 2.0 * rng.random(2)))
    path = path + rng.normal(0.0, 1.0, (num_frames, 2)) * scene.jitter
    return np.clip(np.round(MARGIN + path), 0, 2 * MARGIN).astype(int)


def expose(scene: Scene, canvas: np.ndarray, corner, gain: float, rng) -> np.ndarray:
    """Films a canvas: crop, lens, light, sensor noise and the camera's compression.

    Args:
        canvas: uint8 (CANVAS_SIZE, CANVAS_SIZE, 3) RGB.
        corner: left and top canvas pixel of the frame.

    Returns:
        uint8 (FRAME_SIZE, FRAME_SIZE, 3) RGB.
    """
    left, top = corner
    side = FRAME_SIZE * SUPERSAMPLING
    view = canvas[top : top + side, left : left + side]
    frame = cv2.resize(view, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA)
    noise = rng.standard_normal(frame.shape, dtype=np.float32) * scene.noise
    exposed = np.clip(frame * (scene.light * gain) + noise, 0.0, 255.0).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", exposed[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, scene.quality))
    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded just now
    return np.ascontiguousarray(decoded[..., ::-1])


def _colour(rng: np.random.Generator, saturation: float, value: tuple[float, float]) -> np.ndarray:
    """Draws an RGB colour of a random hue, float (3,) in 0..255."""
    hsv = np.array((rng.uniform(0, 360), rng.uniform(0, saturation), rng.uniform(*value)))
    return cv2.cvtColor(hsv.astype(np.float32)[None, None], cv2.COLOR_HSV2RGB)[0, 0] * 255.0


def _cloud(rng: np.random.Generator, shape: tuple[int, int], grain: int) -> np.ndarray:
    """Smooth noise of standard deviation near 1, float32 `shape`, features `grain` pixels wide."""
    small = rng.standard_normal((shape[0] // grain + 2, shape[1] // grain + 2))
    size = (shape[1], shape[0])
    return cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)


def _wall(rng: np.random.Generator) -> np.ndarray:
    size = CANVAS_SIZE
    colour = _colour(rng, 0.3, (0.55, 0.85))
    wall = np.zeros((size, size), np.float32)
    rows, columns = np.mgrid[0:size, 0:size]
    kind = rng.choice(("plaster", "bricks", "panels", "boards", "dots"))
    if kind == "bricks":
        row = rows // 22
        joint = (rows % 22 < 3) | ((columns + 22 * (row % 2)) % 44 < 3)
        tone = rng.uniform(-10.0, 10.0, (size // 22 + 2, size // 44 + 3))
        wall += np.where(joint, 14.0, tone[row, (columns + 22 * (row % 2)) // 44])
    elif kind == "panels":
        wall += 10.0 * np.sign(np.sin(2.0 * np.pi * columns / rng.uniform(40.0, 80.0)))
    elif kind == "boards":
        wall -= np.where(rows % 30 < 3, 18.0, 0.0)
    elif kind == "dots":
        dots = ((rows % 32) - 16.0) ** 2 + ((columns % 32) - 16.0) ** 2 < 30.0
        wall += np.where(dots, 14.0, 0.0)
    wall += rng.uniform(2.0, 7.0) * _cloud(rng, wall.shape, 24)
    wall += rng.uniform(1.0, 4.0) * _cloud(rng, wall.shape, 4)
    picture = np.clip(colour + wall[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 3))):
        x, y = int(rng.integers(0, size - 60)), int(rng.integers(0, 70))
        corner = (x + int(rng.integers(40, 90)), y + int(rng.integers(30, 80)))
        cv2.rectangle(picture, (x, y), corner, _colour(rng, 0.4, (0.4, 0.9)).tolist(), cv2.FILLED)
        cv2.rectangle(picture, (x, y), corner, _colour(rng, 0.2, (0.3, 0.9)).tolist(), 4)
    return picture


def _floor(rng: np.random.Generator, height: int) -> np.ndarray:
    """A floor of slanted tiles."""
    colour = _colour(rng, 0.35, (0.45, 0.75))
    rows, columns = np.mgrid[0:height, 0 : CANVAS_SIZE + TILE]
    slant = columns + rng.uniform(-0.5, 0.5) * rows
    contrast = rng.uniform(22.0, 34.0)
    tiles = contrast * np.clip(3.0 * np.sin(2.0 * np.pi * slant / TILE), -1.0, 1.0)
    tiles = tiles - np.where(rows < 4, 30.0, 0.0)
    return np.clip(colour + tiles[..., None], 0, 255).astype(np.uint8)


def _light(rng: np.random.Generator) -> np.ndarray:
    """A gradient from one side and, in some scenes, the edge of a large shadow."""
    rows, columns = np.mgrid[0:FRAME_SIZE, 0:FRAME_SIZE] / FRAME_SIZE - 0.5
    turn = rng.uniform(0.0, 2.0 * np.pi)
    across = np.cos(turn) * columns + np.sin(turn) * rows
    light = rng.uniform(0.8, 1.0) * (1.0 + rng.uniform(0.0, 0.45) * across)
    if rng.random() < 0.5:
        turn = rng.uniform(-0.6, 0.6)
        edge = np.cos(turn) * columns + np.sin(turn) * rows - rng.uniform(-0.3, 0.3)
        light = light * (1.0 - rng.uniform(0.1, 0.3) / (1.0 + np.exp(-40.0 * edge)))
    return light.astype(np.float32)[..., None]
