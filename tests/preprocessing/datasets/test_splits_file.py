import pytest

from preprocessing.datasets import splits_file
from preprocessing.errors import UserError
from preprocessing.video import Segment


@pytest.fixture
def read(tmp_path):
    """Function of the content of a splits.csv that reads it."""

    def read(content):
        path = tmp_path / "splits.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return splits_file.read(path)

    return read


def test_a_table_from_a_german_spreadsheet(read):
    text = "Video;Klasse".replace("Klasse", "CLASS") + ";Group;Split;Start;End\r\n"
    text += "rec\\Küche.mp4;Bow;;TRAIN ;1,5;3\r\nrec\\Küche.mp4;Jump;;Train;3;4,25\r\n;;;;;\r\n"
    lines = read(text.encode("cp1252"))
    assert list(lines) == ["rec/Küche.mp4"]
    first, second = lines["rec/Küche.mp4"]
    assert (first.class_name, first.split, first.segment) == ("Bow", "train", Segment(1.5, 3))
    assert (second.class_name, second.segment) == ("Jump", Segment(3, 4.25))
    assert first.where.endswith("splits.csv line 2")


@pytest.mark.parametrize(
    ("written", "side"),
    [
        *(("train", "train"), ("Training", "train"), ("VAL", "val"), ("valid", "val")),
        *(("validation", "val"), (" TEST ", "test"), ("testing", "test"), ("", "")),
    ],
)
def test_the_sides_of_a_split_in_every_spelling(read, written, side):
    ((line,),) = read(f"video,split\na.mp4,{written}\n").values()
    assert line.split == side


def test_a_path_may_be_absolute(read, tmp_path):
    assert list(read(f"video\n{tmp_path}/jump/a.mp4\n./jump//b.mp4\n")) == [
        *("jump/a.mp4", "jump/b.mp4")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video, groups\na,b\n", "unknown column groups: .*did you mean group"),
        ("video,split\na,holdout\n", "line 2 has split 'holdout': it is train, val, test or em"),
        ("video\na\n./a\n", "line 3 lists a twice, as .*line 2: remove one"),
        ("video,start,end\na,1,2\na,,\n", "line 3 lists a as a whole and from a start"),
        ("video,start,end\na,0:05,1\n", "line 2 has start '0:05' and end '1': both are numbers"),
        ("video,start,end\na,5,5\n", "line 2: end 5 is not after start 5"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(read, text, message):
    with pytest.raises(UserError, match=message):
        read(text)


def test_the_table_is_found_in_capitals_and_another_format_is_refused(tmp_path):
    assert splits_file.find(tmp_path) is None
    (tmp_path / "Splits.CSV").write_text("video\n")
    assert splits_file.find(tmp_path) == tmp_path / "Splits.CSV"
    (tmp_path / "splits.xlsx").touch()
    with pytest.raises(UserError, match=r"has Splits.CSV, splits.xlsx: keep one, as splits.csv"):
        splits_file.find(tmp_path)
    (tmp_path / "Splits.CSV").unlink()
    with pytest.raises(UserError, match=r"splits.xlsx is not read: save the table as splits.csv"):
        splits_file.find(tmp_path)
