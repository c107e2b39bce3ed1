"""The synthetic figure and its props, drawn with OpenCV on a supersampled canvas."""

from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.datasets.synthetic import actions
from preprocessing.datasets.synthetic.actions import Body, Pose

Colour = tuple[float, float, float]
_FRACTION_BITS = 4  # cv2 takes fixed-point coordinates: sixteenths of a canvas pixel

# The spoked wheels slip, or they would seem to turn backwards on film.
_WHEEL_GEAR = 0.4

_SKIN = ((244, 208, 177), (224, 172, 125), (180, 122, 80), (120, 78, 52))
_HAIR = ((38, 28, 24), (92, 60, 32), (190, 150, 80), (120, 120, 125))
_SHIRTS = (
    (200, 40, 45), (30, 80, 190), (20, 130, 75), (230, 160, 20), (120, 45, 140), (20, 140, 160),
    (240, 240, 240), (225, 95, 30),
)  # fmt: skip
_TROUSERS = ((30, 35, 60), (60, 60, 65), (70, 45, 30), (25, 70, 60), (90, 30, 45), (45, 60, 110))
_SHOES = ((20, 20, 20), (235, 235, 235), (150, 30, 30))
_WOOD = ((118, 72, 36), (98, 58, 28), (130, 82, 44))
_BRIGHT = ((240, 50, 60), (250, 215, 40), (40, 200, 240), (90, 220, 70))
_CHAIRS = ((90, 60, 40), (40, 60, 80), (120, 110, 95))


@dataclass(frozen=True)
class Look:
    """How a figure and its props look; one group of clips shares one. Colours are RGB."""

    body: Body
    thickness: float
    skin: Colour
    hair: Colour
    shirt: Colour
    pattern: str
    pattern_colour: Colour
    trousers: Colour
    shoes: Colour
    wood: Colour
    bright: Colour
    chair: Colour


def random_look(rng: np.random.Generator) -> Look:
    """Draws proportions, clothes and the colours of the props."""

    def pick(colours: tuple[Colour, ...]) -> Colour:
        tint = rng.uniform(0.92, 1.06)
        return shade(colours[rng.integers(len(colours))], tint)

    leg, arm = rng.uniform(0.225, 0.24), rng.uniform(0.155, 0.17)
    body = Body(
        torso=rng.uniform(0.285, 0.31),
        head=rng.uniform(0.08, 0.095),
        upper_arm=arm,
        forearm=arm,
        thigh=leg,
        shin=leg,
    )
    first = int(rng.integers(len(_SHIRTS)))
    second = (first + int(rng.integers(1, len(_SHIRTS)))) % len(_SHIRTS)
    return Look(
        body=body,
        thickness=rng.uniform(0.9, 1.15),
        skin=pick(_SKIN),
        hair=pick(_HAIR),
        shirt=_SHIRTS[first],
        pattern=str(rng.choice(("plain", "hoops", "stripe"))),
        pattern_colour=_SHIRTS[second],
        trousers=pick(_TROUSERS),
        shoes=pick(_SHOES),
        wood=pick(_WOOD),
        bright=pick(_BRIGHT),
        chair=pick(_CHAIRS),
    )


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor < 1) or lighter (factor > 1)."""
    red, green, blue = (min(255.0, factor * value) for value in colour)
    return red, green, blue


class Stage:
    """A canvas with the figure's own coordinates.

    Args:
        canvas: uint8 (H, W, 3) RGB, drawn on in place.
        origin: canvas pixel (x, y) of the point on the floor under the figure.
        height: canvas pixels of one figure height.
    """

    def __init__(self, canvas: np.ndarray, origin: tuple[float, float], height: float):
        self.canvas = canvas
        self.origin = np.asarray(origin)
        self.height = height

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        """Canvas positions of points (..., 2), in sixteenths of a pixel."""
        pixels = self.origin + self.height * np.asarray(points) * (1.0, -1.0)
        return np.round(pixels * (1 << _FRACTION_BITS)).astype(np.int32)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        """Fills a polygon of corners (n, 2)."""
        cv2.fillPoly(self.canvas, [self._fixed(points)], colour, cv2.LINE_AA, _FRACTION_BITS)

    def line(self, points: np.ndarray, width: float, colour: Colour, closed: bool = False) -> None:
        """Draws a line through points (n, 2), `width` figure heights wide."""
        pixels = max(1, round(width * self.height))
        cv2.polylines(
            self.canvas, [self._fixed(points)], closed, colour, pixels, cv2.LINE_AA, _FRACTION_BITS
        )

    def disc(self, centre: np.ndarray, radius: float, colour: Colour) -> None:
        """Fills a circle."""
        fixed = round(radius * self.height * (1 << _FRACTION_BITS))
        x, y = self._fixed(centre)
        cv2.circle(
            self.canvas, (int(x), int(y)), fixed, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS
        )

    def limb(self, start, end, widths: tuple[float, float], colour: Colour) -> None:
        """Draws a tapered limb with round joints and a lighter middle."""
        start, end = np.asarray(start), np.asarray(end)
        along = end - start
        across = np.array((-along[1], along[0])) / max(float(np.hypot(*along)), 1e-6)
        first, last = across * widths[0] / 2.0, across * widths[1] / 2.0
        self.polygon(np.array((start + first, end + last, end - last, start - first)), colour)
        self.disc(start, widths[0] / 2.0, colour)
        self.disc(end, widths[1] / 2.0, colour)
        middle = np.array((start + 0.3 * first, end + 0.3 * last))
        self.line(middle, 0.3 * min(widths), shade(colour, 1.18))


def bend(start: np.ndarray, target: np.ndarray, lengths: tuple[float, float], side: float):
    """Places the middle joint of a limb of two segments.

    Args:
        start: (x, y) of the fixed joint.
        target: (x, y) wanted for the free end.
        lengths: of the segment at the fixed joint and of the free one.
        side: +1 bends the joint to the left of the way from start to target, -1 to the right.

    Returns:
        (x, y) of the middle joint and of the free end, which is `target` or, where that is out
        of reach, the nearest point in reach.
    """
    first, second = lengths
    way = target - start
    wanted = max(float(np.hypot(*way)), 1e-6)
    distance = float(np.clip(wanted, abs(first - second) + 1e-3, (first + second) * 0.999))
    along = way / wanted
    across = np.array((-along[1], along[0]))
    forward = (distance**2 + first**2 - second**2) / (2.0 * distance)
    sideways = np.sqrt(max(first**2 - forward**2, 0.0))
    return start + forward * along + side * sideways * across, start + distance * along


def draw_scene(stage: Stage, look: Look, pose: Pose, prop: str) -> None:
    """Draws the figure in a pose with its prop.

    Args:
        prop: "racket", "bat", "trolley", "crate", "ladder", "chair" or "none".
    """
    if prop == "chair":
        _draw_chair(stage, look)
    if prop == "ladder":
        _draw_ladder(stage, look, pose)
    _draw_leg(stage, look, pose, 1)
    _draw_arm(stage, look, pose, 1)
    if prop in ("trolley", "crate"):
        _draw_load(stage, look, pose, prop)
    _draw_leg(stage, look, pose, 0)
    _draw_torso(stage, look, pose)
    _draw_head(stage, look, pose)
    if prop in ("racket", "bat"):
        _draw_implement(stage, look, pose, prop)
    _draw_arm(stage, look, pose, 0)


def _draw_leg(stage: Stage, look: Look, pose: Pose, side: int) -> None:
    body, wide = look.body, look.thickness
    tone = (1.0, 0.85)[side]
    knee, ankle = bend(pose.hip, pose.feet[side], (body.thigh, body.shin), side=1.0)
    trousers = shade(look.trousers, tone)
    stage.limb(pose.hip, knee, (0.105 * wide, 0.08 * wide), trousers)
    stage.limb(knee, ankle, (0.078 * wide, 0.055 * wide), trousers)
    heel, toe = ankle + np.array((-0.015, -0.012)), ankle + np.array((0.065, -0.016))
    stage.limb(heel, toe, (0.05, 0.038), shade(look.shoes, tone))


def _draw_arm(stage: Stage, look: Look, pose: Pose, side: int) -> None:
    body, wide = look.body, look.thickness
    tone = (1.0, 0.85)[side]
    root = actions.shoulder(body, pose.hip, pose.lean)
    elbow, hand = bend(root, pose.hands[side], (body.upper_arm, body.forearm), side=-1.0)
    stage.limb(root, elbow, (0.078 * wide, 0.06 * wide), shade(look.shirt, 0.88 * tone))
    stage.limb(elbow, hand, (0.056 * wide, 0.045 * wide), shade(look.skin, tone))
    stage.disc(hand, 0.036, shade(look.skin, tone))


def _draw_torso(stage: Stage, look: Look, pose: Pose) -> None:
    up = np.array((np.sin(pose.lean), np.cos(pose.lean)))
    front = np.array((up[1], -up[0]))
    length, wide = look.body.torso, look.thickness

    def across(fraction: float) -> np.ndarray:
        """The two edges of the torso at a fraction of its length above the hip."""
        half = (0.062 + 0.022 * np.sin(np.pi * min(fraction, 0.8))) * wide
        centre = pose.hip + fraction * length * up
        return np.array((centre - half * front, centre + half * front))

    fractions = np.linspace(0.0, 1.0, 6)
    edges = np.array([across(fraction) for fraction in fractions])  # fraction side xy
    stage.polygon(np.concatenate((edges[:, 0], edges[::-1, 1])), look.shirt)
    stage.disc(pose.hip, 0.062 * wide, look.trousers)
    stage.disc(pose.hip + 0.95 * length * up, 0.068 * wide, look.shirt)
    if look.pattern == "hoops":
        for fraction in (0.3, 0.55, 0.8):
            stage.line(across(fraction), 0.03, look.pattern_colour)
    elif look.pattern == "stripe":
        stripe = np.array((pose.hip + 0.15 * length * up, pose.hip + 0.95 * length * up))
        stage.line(stripe + 0.03 * front, 0.035, look.pattern_colour)


def _draw_head(stage: Stage, look: Look, pose: Pose) -> None:
    up = np.array((np.sin(0.8 * pose.lean), np.cos(0.8 * pose.lean)))
    front = np.array((up[1], -up[0]))
    body = look.body
    top = pose.hip + body.torso * np.array((np.sin(pose.lean), np.cos(pose.lean)))
    centre = top + (body.neck + 0.8 * body.head) * up + 0.01 * front
    stage.limb(top, centre, (0.06, 0.055), shade(look.skin, 0.9))
    stage.disc(centre + 0.25 * body.head * up - 0.2 * body.head * front, body.head, look.hair)
    stage.disc(centre + 0.1 * body.head * front, 0.92 * body.head, look.skin)
    cap = centre + 0.35 * body.head * up - 0.3 * body.head * front
    stage.disc(cap, 0.72 * body.head, look.hair)
    stage.disc(centre + body.head * (0.6 * front + 0.1 * up), 0.014, (25, 20, 20))
    nose = centre + body.head * front
    stage.disc(nose - 0.15 * body.head * up, 0.018, shade(look.skin, 0.93))


def _draw_implement(stage: Stage, look: Look, pose: Pose, prop: str) -> None:
    """Draws racket or bat; both fill the same outline, so that their flow is alike."""
    along = np.array((np.cos(pose.angle), np.sin(pose.angle)))
    across = np.array((-along[1], along[0]))
    grip = pose.hands[1] - 0.03 * along
    turn = np.linspace(0.0, 2.0 * np.pi, 20, endpoint=False)
    half_length, half_width = 0.135, 0.088
    centre = grip + (0.15 + half_length) * along
    square = 0.85 if prop == "bat" else 1.0  # exponent of the outline: a bat is a little squarer
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** square
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** square
    outline = centre + half_length * x[:, None] * along + half_width * y[:, None] * across
    handle = np.array((grip, grip + 0.17 * along))
    if prop == "bat":
        stage.line(handle, 0.04, shade(look.wood, 0.7))
        stage.polygon(outline, look.wood)
        stage.line(outline, 0.03, shade(look.wood, 0.85), closed=True)
        for offset in (-0.4, 0.0, 0.4):
            middle = centre + offset * half_width * across
            grain = np.array(
                (middle - 0.8 * half_length * along, middle + 0.8 * half_length * along)
            )
            stage.line(grain, 0.012, shade(look.wood, 0.75))
        return
    stage.line(handle, 0.04, look.bright)
    stage.polygon(outline, (238, 238, 225))
    for offset in (-0.6, -0.2, 0.2, 0.6):
        reach = np.sqrt(1.0 - offset**2)
        long = centre + offset * half_width * across
        wide = centre + offset * half_length * along
        for middle, arm in ((long, half_length * along), (wide, half_width * across)):
            stage.line(
                np.array((middle - reach * arm, middle + reach * arm)), 0.008, (150, 155, 160)
            )
    stage.line(outline, 0.03, look.bright, closed=True)


def _draw_load(stage: Stage, look: Look, pose: Pose, prop: str) -> None:
    """Draws a wire trolley or a wooden crate on the same two wheels and handle."""
    left, right, bottom, top = 0.34, 0.68, 0.14, 0.46
    corners = np.array(((left, bottom), (right, bottom), (right, top), (left - 0.02, top)))
    metal = look.bright if prop == "trolley" else shade(look.wood, 0.8)
    stage.line(np.array((actions.HANDLE, (left, top))), 0.03, metal)
    if prop == "crate":
        stage.polygon(corners, look.wood)
        for fraction in (0.25, 0.5, 0.75):
            y = bottom + fraction * (top - bottom)
            stage.line(np.array(((left, y), (right, y))), 0.012, shade(look.wood, 0.65))
        stage.line(corners[[0, 2]], 0.035, shade(look.wood, 1.25))
        stage.line(corners, 0.035, shade(look.wood, 1.25), closed=True)
    else:
        stage.polygon(corners, (222, 228, 232))
        for fraction in (0.2, 0.4, 0.6, 0.8):
            x, y = left + fraction * (right - left), bottom + fraction * (top - bottom)
            stage.line(np.array(((x, bottom), (x, top))), 0.01, (150, 160, 170))
            stage.line(np.array(((left, y), (right, y))), 0.01, (150, 160, 170))
        stage.line(corners, 0.03, look.bright, closed=True)
    for x in (left + 0.06, right - 0.06):
        _draw_wheel(stage, np.array((x, 0.075)), 0.075, -_WHEEL_GEAR * pose.travel / 0.075, 3)


def _draw_wheel(stage: Stage, centre, radius: float, angle: float, spokes: int) -> None:
    stage.disc(centre, radius, (40, 40, 42))
    stage.disc(centre, 0.82 * radius, (225, 225, 218))
    for spoke in range(spokes):
        turn = angle + 2.0 * np.pi * (spoke + np.array((-0.22, 0.22))) / spokes
        rim = 0.85 * radius * np.stack((np.cos(turn), np.sin(turn)), axis=1)
        stage.polygon(np.concatenate((centre[None], centre + rim)), (50, 50, 55))


def _draw_ladder(stage: Stage, look: Look, pose: Pose) -> None:
    """Draws a climbing machine: an endless ladder whose rungs run past the climber."""
    left, right, bottom, top = actions.RUNG_X - 0.03, actions.RUNG_X + 0.25, 0.0, 1.12
    spacing = 2.0 * actions.STEP
    corners = np.array(((left, bottom), (right, bottom), (right, top), (left, top)))
    stage.polygon(corners, (205, 205, 200))
    first = (actions.FOOT_Y + actions.STEP - 0.03 - pose.travel - bottom) % spacing
    for y in bottom + np.arange(first, top - bottom, spacing):
        stage.line(np.array(((left, y), (right, y))), 0.075, (70, 70, 75))
    for x in (left, right):
        stage.line(np.array(((x, bottom), (x, top))), 0.04, look.bright)


def _draw_chair(stage: Stage, look: Look) -> None:
    back, front, seat = -0.31, -0.06, actions.SEAT[1] - 0.075
    dark = shade(look.chair, 0.75)
    for x in (back, front):
        stage.line(np.array(((x, 0.0), (x, seat))), 0.035, dark)
    stage.line(np.array(((back, seat), (back - 0.03, 0.56))), 0.045, look.chair)
    stage.line(np.array(((back, seat), (front, seat))), 0.05, look.chair)
