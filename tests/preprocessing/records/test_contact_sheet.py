import cv2
import numpy as np

from preprocessing import records
from preprocessing.records import contact_sheet


def _video(record_set, name):
    return next(video for video in record_set.videos if video.id == name)


def test_frames_stand_above_their_flow_in_the_wheels_colours(tiny_records):
    video = _video(tiny_records, "v_Right_g03_c01")  # 8 frames: seven pairs
    sheet = contact_sheet.contact_sheet(tiny_records, video)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 7 * (128 + 6) + 6
    # The stored frames are found in it, enlarged, one cell apart.
    stored = records.read_video(tiny_records, video)
    places = []
    for index in range(7):
        frame = cv2.imdecode(np.frombuffer(stored["frames"][index], np.uint8), cv2.IMREAD_COLOR)
        frame = frame[..., ::-1].repeat(4, 0).repeat(4, 1)
        difference = cv2.matchTemplate(sheet, np.ascontiguousarray(frame), cv2.TM_SQDIFF)
        _, _, (left, top), _ = cv2.minMaxLoc(difference)
        assert (sheet[top : top + 128, left : left + 128] == frame).all()
        places.append((left, top))
    assert [left for left, _ in places] == [6 + 134 * index for index in range(7)]
    # Below, the square that moves right is redder than it is green or blue.
    left, top = places[3]
    flow = sheet[top + 134 : top + 262, left : left + 128].astype(int)
    red, green, blue = flow[48:80, 60:90].mean((0, 1))
    assert red > green + 60 and red > blue + 60


def test_of_a_grid_the_stored_pairs_are_shown(tiny_records, grid_records):
    video = _video(grid_records, "v_Right_g03_c01")  # frames 0, 4, 7 and fields 0, 3, 4, 6
    sheet = contact_sheet.contact_sheet(grid_records, video)
    stored = records.read_video(tiny_records, _video(tiny_records, video.id))
    for column, index in enumerate((0, 4)):
        frame = records.decode_frame(stored["frames"][index]).repeat(4, 0).repeat(4, 1)
        left = 6 + 134 * column
        shown = sheet[:, left : left + 128]
        _, _, (_, top), _ = cv2.minMaxLoc(cv2.matchTemplate(shown, frame, cv2.TM_SQDIFF))
        np.testing.assert_array_equal(shown[top : top + len(frame)], frame)
