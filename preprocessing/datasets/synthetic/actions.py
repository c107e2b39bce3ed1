"""What the synthetic figure does: one pose a frame for each class of action.

Lengths are in figure heights, x grows towards where the figure looks (always to the right of the
picture), y grows upwards from the floor. Every pose has a near limb and a far limb, in that order.

The classes come in pairs chosen so that neither frames nor flow alone can name them all:

| pair | differs in | shown by |
|---|---|---|
| SwingRacket / SwingBat | the implement; motion drawn from one distribution | frames |
| PushTrolley / PushCrate, PullTrolley / PullCrate | what is pushed | frames |
| PushTrolley / PullTrolley, PushCrate / PullCrate | direction of a periodic motion | flow |
| ClimbUp / ClimbDown | direction of a periodic motion | flow |
| SitDown / StandUp | order of the same poses | either |
| WaveTwice / WaveThenBow | the second half only | either, over long time |

In the periodic ones the cadence varies so much from clip to clip that frames sampled three to six
apart advance by any part of a cycle, so their order says nothing of the direction, while
consecutive frames show it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NUM_FRAMES = (28, 40)  # fewest and most frames of a clip, both included

ANKLE = 0.035  # height of the ankle above the floor
HANDLE = np.array((0.30, 0.56))  # where trolley and crate are held
SEAT = np.array((-0.17, 0.27))  # hip when sitting
STEP = 0.10  # half the length of a step, and half the way between two rungs
RUNG_X, HAND_Y, FOOT_Y = 0.17, 0.87, 0.14  # where a climber's hands and feet hold on


@dataclass(frozen=True)
class Body:
    """Lengths of the parts of a figure, in figure heights."""

    torso: float = 0.30
    neck: float = 0.05
    head: float = 0.085  # radius
    upper_arm: float = 0.165
    forearm: float = 0.165
    thigh: float = 0.235
    shin: float = 0.235


@dataclass(frozen=True)
class Pose:
    """One frame's figure and the moving parts of its props.

    Attributes:
        hip: position (x, y).
        lean: angle of the torso from upright, radians, positive to the front.
        hands: near and far hand, each (x, y); a hand out of reach is pulled in by the drawing.
        feet: near and far ankle, each (x, y).
        angle: direction in which the implement points, radians, anticlockwise from ahead.
        travel: distance walked or climbed, in figure heights.
    """

    hip: np.ndarray
    lean: float
    hands: np.ndarray
    feet: np.ndarray
    angle: float = 0.0
    travel: float = 0.0


def motion(class_name: str, body: Body, rng: np.random.Generator) -> list[Pose]:
    """Draws one performance of an action.

    Returns:
        One pose a frame, `NUM_FRAMES[0]` to `NUM_FRAMES[1]` of them.
    """
    num_frames = int(rng.integers(NUM_FRAMES[0], NUM_FRAMES[1] + 1))
    action = ACTIONS[class_name]
    poses = action.perform(body, rng, num_frames)
    return poses[::-1] if action.backwards else poses


def shoulder(body: Body, hip: np.ndarray, lean: float) -> np.ndarray:
    """Position (x, y) of the shoulders, which both arms share in this side view."""
    return hip + 0.93 * body.torso * np.array((np.sin(lean), np.cos(lean)))


def _standing(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Hip and feet of a figure that stands."""
    hip = np.array((0.0, ANKLE + 0.985 * (body.thigh + body.shin)))
    return hip, np.array(((0.035, ANKLE), (-0.045, ANKLE)))


def _hanging(body: Body, hip: np.ndarray, lean: float) -> np.ndarray:
    """Hands of arms that hang from the shoulders."""
    reach = 0.93 * (body.upper_arm + body.forearm)
    return shoulder(body, hip, lean) + np.array(((0.045, -reach), (-0.01, -reach)))


def _ease(value: float) -> float:
    """Smooth step from 0 at value 0 to 1 at value 1."""
    clipped = np.clip(value, 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


def _turns(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Phase of an uneven periodic motion at each frame, in cycles, always growing.

    6 to 16 frames a cycle: short enough that frames sampled a few apart do not show which way
    the motion goes, long enough that consecutive frames do.
    """
    frequency = rng.uniform(0.06, 0.16)
    beat = np.arange(num_frames) / rng.uniform(9.0, 16.0) + rng.random()
    return rng.random() + np.cumsum(frequency * (1.0 + 0.2 * np.sin(2.0 * np.pi * beat)))


def _walking_foot(phase: float) -> tuple[float, float]:
    """Ankle relative to the hip's foot point; the first half of a cycle stands on the floor."""
    phase = phase % 1.0
    if phase < 0.5:
        return STEP * (1.0 - 4.0 * phase), ANKLE
    swing = 2.0 * np.pi * (phase - 0.5)
    return -STEP * np.cos(swing), ANKLE + 0.05 * np.sin(swing)


def _climbing_limb(phase: float) -> np.ndarray:
    """Hand or foot relative to its middle place; the first half of a cycle holds on to a rung."""
    phase = phase % 1.0
    if phase < 0.5:
        return np.array((0.0, STEP * (1.0 - 4.0 * phase)))
    swing = 2.0 * np.pi * (phase - 0.5)
    return np.array((-0.05 * np.sin(swing), -STEP * np.cos(swing)))


def _push(body: Body, rng: np.random.Generator, num_frames: int) -> list[Pose]:
    """Walks forwards behind a trolley or crate, the camera walking along."""
    lean = rng.uniform(0.08, 0.2)
    poses = []
    for phase in _turns(rng, num_frames):
        bob = 0.008 * np.cos(4.0 * np.pi * phase)
        hip = np.array((-0.02, ANKLE + 0.95 * (body.thigh + body.shin) + bob))
        feet = np.array((_walking_foot(phase), _walking_foot(phase + 0.5)))
        hands = np.array((HANDLE, HANDLE))
        poses.append(Pose(hip, lean, hands, feet, travel=4.0 * STEP * phase))
    return poses


def _climb(body: Body, rng: np.random.Generator, num_frames: int) -> list[Pose]:
    """Climbs an endless ladder, each hand moving with the other side's foot."""
    lean = rng.uniform(0.02, 0.12)
    hip = np.array((-0.03, 0.46))
    poses = []
    for phase in _turns(rng, num_frames):
        steps = np.array((_climbing_limb(phase), _climbing_limb(phase + 0.5)))
        feet = np.array((RUNG_X - 0.02, FOOT_Y)) + steps
        hands = np.array((RUNG_X, HAND_Y)) + steps[::-1]
        poses.append(Pose(hip, lean, hands, feet, travel=4.0 * STEP * phase))
    return poses


def _sit_down(body: Body, rng: np.random.Generator, num_frames: int) -> list[Pose]:
    """Stands before a chair, sits down on it and stays."""
    duration = rng.uniform(14.0, 20.0)
    start = rng.uniform(2.0, num_frames - duration - 2.0)
    upright, feet = _standing(body)
    bend = rng.uniform(0.5, 0.8)
    poses = []
    for frame in range(num_frames):
        done = (frame - start) / duration
        seated = _ease(done)
        hip = upright + seated * (SEAT - upright)
        lean = bend * np.sin(np.pi * np.clip(done, 0.0, 1.0))
        knees = np.array(((0.06, 0.33), (0.03, 0.33)))
        hands = (1.0 - seated) * _hanging(body, hip, lean) + seated * knees
        poses.append(Pose(hip, lean, hands, feet))
    return poses


def _swing(body: Body, rng: np.random.Generator, num_frames: int) -> list[Pose]:
    """Swings an implement with both hands, up and back, then forwards and down, and again."""
    period = rng.uniform(24.0, 32.0)
    centre, extent = np.deg2rad(rng.uniform(60.0, 75.0)), np.deg2rad(rng.uniform(55.0, 68.0))
    start = rng.random()
    hip, feet = _standing(body)
    feet = feet + np.array(((0.07, 0.0), (-0.07, 0.0)))
    hip = hip - np.array((0.0, 0.02))
    poses = []
    for frame in range(num_frames):
        swing = np.cos(2.0 * np.pi * (frame / period + start))
        angle = centre + extent * swing
        lean = 0.05 - 0.15 * swing
        reach = 0.2 * np.array((np.cos(angle), np.sin(angle)))
        hand = shoulder(body, hip, lean) + reach
        grip = 0.035 * np.array((np.cos(angle), np.sin(angle)))
        poses.append(Pose(hip, lean, np.array((hand + grip, hand)), feet, angle=angle))
    return poses


def _wave(body: Body, rng: np.random.Generator, num_frames: int, bows: bool) -> list[Pose]:
    """Waves, lowers the arm, then waves again or bows."""
    period, extent = rng.uniform(7.0, 10.0), rng.uniform(0.075, 0.09)
    middle = rng.uniform(0.44, 0.52)
    deepest = rng.uniform(0.9, 1.15)
    hip, feet = _standing(body)
    poses = []
    for frame in range(num_frames):
        time = frame / num_frames
        first = _ease(time / 0.1) * _ease((middle - 0.02 - time) / 0.1)
        second = _ease((time - middle - 0.02) / 0.12) * _ease((1.02 - time) / 0.12)
        lean = deepest * second if bows else 0.0
        raised = first if bows else max(first, second)
        hands = _hanging(body, hip, lean)
        sway = extent * np.sin(2.0 * np.pi * frame / period)
        waving = shoulder(body, hip, lean) + np.array((0.185 + sway, 0.17))
        hands[0] += raised * (waving - hands[0])
        poses.append(Pose(hip, lean, hands, feet))
    return poses


@dataclass(frozen=True)
class Action:
    """What is seen in the clips of a class.

    Attributes:
        prop: as `figure.draw_scene` takes it.
        backwards: whether the poses of the performance are played backwards.
    """

    perform: Callable[[Body, np.random.Generator, int], list[Pose]]
    prop: str = "none"
    backwards: bool = False


ACTIONS = {
    "ClimbDown": Action(_climb, "ladder", backwards=True),
    "ClimbUp": Action(_climb, "ladder"),
    "PullCrate": Action(_push, "crate", backwards=True),
    "PullTrolley": Action(_push, "trolley", backwards=True),
    "PushCrate": Action(_push, "crate"),
    "PushTrolley": Action(_push, "trolley"),
    "SitDown": Action(_sit_down, "chair"),
    "StandUp": Action(_sit_down, "chair", backwards=True),
    "SwingBat": Action(_swing, "bat"),
    "SwingRacket": Action(_swing, "racket"),
    "WaveThenBow": Action(functools.partial(_wave, bows=True)),
    "WaveTwice": Action(functools.partial(_wave, bows=False)),
}
CLASSES = tuple(ACTIONS)
