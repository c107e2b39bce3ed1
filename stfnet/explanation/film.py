"""An explanation as a video: each frame beside Grad-CAM, flow and how much the frames count."""

import functools
from pathlib import Path

import numpy as np

from preprocessing import files, video
from preprocessing.captions import draw_text
from stfnet.drawing import annotation
from stfnet.drawing.annotation import BACKGROUND, CAPTION, MARGIN, MUTED, TEXT, TRACK
from stfnet.explanation.attribution import Explanation
from stfnet.explanation.pictures import ShownClip, draw_bars, limit, overlay, scale, title
from stfnet.inference.prediction import rank

STRIP, NAMES, COUNTER = 48, 110, 110  # pixels: height of a branch's strip, room at its two ends
BAR = 5  # pixels, width of a bar


def draw_strips(explanation: Explanation, clip: ShownClip, number: int, width: int) -> np.ndarray:
    """Draws for each of B branches the video as a line, with the bars of the sampled frames.

    The mark stands at the frame of that number, from 0. Returns uint8 (STRIP B, width, 3), RGB.
    """
    length = width - NAMES - COUNTER

    def position(frame: int) -> int:
        return NAMES + round((length - 1) * frame / max(clip.num_frames - 1, 1))

    strips = []
    for branch, importance in explanation.importance.items():
        strip = np.full((STRIP, width, 3), BACKGROUND, np.uint8)
        draw_text(strip, title(branch), MARGIN, 20, 14, TEXT)
        draw_text(strip, scale(importance), MARGIN, 39, 12, MUTED)
        inside = strip[4 : STRIP - 4]
        inside[:, NAMES - 2 * BAR : NAMES + length + 2 * BAR] = TRACK
        draw_bars(inside, list(map(position, clip.numbers)), importance, limit(importance), BAR)
        strip[:, position(number) - 1 : position(number) + 1] = TEXT
        strips.append(strip)
    label, left = f"{number + 1} / {clip.num_frames}", width - MARGIN - 90
    draw_text(strips[0], label, left, STRIP // 2 + 5, 14, MUTED, width=90, right=True)
    return np.concatenate(strips)


def write_film(path: Path, source: Path, explanation: Explanation, clip: ShownClip) -> None:
    """Writes the video beside Grad-CAM and flow of the last sampled frame, whole or not at all.

    The path ends in `.mp4` or `.webm`.
    """
    ranking = rank(explanation.probabilities, explanation.classes, annotation.BARS)
    name = explanation.classes[explanation.target]
    numbers = np.array(clip.numbers)
    # In order of their numbers: a clip of a short video may start again.
    places = np.argsort(numbers, kind="stable")
    largest = float(explanation.grad_cam.max())
    notes = (f"{clip.num_frames} frames, {len(set(clip.numbers))} sampled",)

    def write(temporary: Path) -> None:
        frames = video.read_frames(source, square=True, selection=clip.selection)
        panel = None
        with video.VideoWriter(temporary, clip.fps) as writer:
            for number, frame in enumerate(frames):
                whole = annotation.draw_frame(frame, clip.window)
                height, width = whole.shape[:2]
                across = width if clip.whole else height
                if panel is None:
                    panel = annotation.draw_panel(height + CAPTION, ranking, notes)
                t = places[np.searchsorted(numbers[places], number, side="right") - 1]
                cam = overlay(clip.frames[t], explanation.grad_cam[t], largest, height, across)
                pictures = [
                    ("video", whole),
                    (f"frame {numbers[t] + 1}: Grad-CAM of {name}", cam),
                ]
                if clip.fields is not None:
                    flow = annotation.enlarge(clip.fields[t], height, across)
                    pictures.append((f"frame {numbers[t] + 1}: optical flow", flow))
                strips = functools.partial(draw_strips, explanation, clip, number)
                writer.write(annotation.compose(pictures, panel, strips))

    files.write_with(path, write)
