import pytest

from preprocessing.datasets import entries
from preprocessing.errors import UserError
from preprocessing.video import Segment


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "list.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return entries.read_list(path)

    return read


@pytest.mark.parametrize(
    ("line", "video", "label"),
    [
        ("jump/a.mp4 3", "jump/a.mp4", "3"),
        ("jump/a.MP4\t3", "jump/a.MP4", "3"),
        ("air drumming/a b.mp4 3", "air drumming/a b.mp4", "3"),
        ("jump/a.mp4,air drumming", "jump/a.mp4", "air drumming"),
        ('"jump/a, b.avi";"wave"', "jump/a, b.avi", "wave"),
        ("jump\\a.m2ts 0", "jump\\a.m2ts", "0"),
        ("jump/a.mp4 300 3", "jump/a.mp4", "3"),
        ("jump/a 163 1", "jump/a", "1"),
        ("air drumming/a 163 1", "air drumming/a", "1"),
        ("jump/a jump", "jump/a", "jump"),
        ("34870;Drumming Fingers", "34870", "Drumming Fingers"),
        ('"air drumming/a", 163, 1', "air drumming/a", "1"),
    ],
)
def test_lines_of_paths_and_labels(read, line, video, label):
    (entry,) = read(f"{line}\r\n\r\n".encode("utf-8-sig"))
    assert (entry.video, entry.label) == (video, label)
    assert entry.where.endswith("list.txt line 1") and not entry.youtube
    assert (entry.group, entry.side, entry.segment) == ("", "", None)


def test_a_table_of_kinetics(read):
    (entry,) = read(
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        'testifying,"---QUuC4vJs",84,94,validate,0\n'
    )
    assert entry == entries.Entry(
        entry.where, "---QUuC4vJs", "testifying", "", "val", Segment(84, 94), youtube=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "video,class,group,split,start,end\na.mp4,jump,anna,test,1.5,2\n",
        "clip_name,clip_path,label,group,split,start,end\nb,a.mp4,jump,anna,test,1.5,2\n",
        "tag;filename;subset;group;start_time;end_time\njump;a.mp4;testing;anna;1,5;2\n",
        "Label\tVideo_Path\tSplit\tGroup\tStart\tEnd\njump\ta.mp4\tTest\tanna\t1.5\t2.0\n",
    ],
)
def test_tables_of_any_separator_and_column_names(read, text):
    (entry,) = read(text)
    assert entry == entries.Entry(entry.where, "a.mp4", "jump", "anna", "test", Segment(1.5, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n", "list.txt is empty: it needs a line"),
        ("jump/a.mp4\n", r"line 1 is 'jump/a.mp4': it needs the path of a video and its label"),
        ("a.mp4 1 2 3\n", "line 1 has the labels 1 2 3: a video has one class"),
        ("video,class\na.mp4,\n", "line 2 has no class: fill in a column class or label"),
        ("youtube_id,split\nabc,test\n", "line 2 has no class"),
        ("video,class\n,jump\n", "line 2 has no video: fill in a column video or path"),
        ("video,class,split\na.mp4,jump,both\n", "line 2 has split 'both'"),
        ("video,class,start,end\na.mp4,jump,5,3\n", "line 2: end 3 is not after start 5"),
        ("video,class,colour\na.mp4,jump,red\n", "unknown column colour"),
    ],
)
def test_what_is_no_list_is_refused(read, text, message):
    with pytest.raises(UserError, match=message):
        read(text)


@pytest.fixture
def read_splits(tmp_path):
    """Function of the content of a splits.csv that reads it."""

    def read_splits(content):
        path = tmp_path / "splits.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return entries.read_splits(path)

    return read_splits


def test_a_path_may_be_absolute(read_splits, tmp_path):
    assert list(read_splits(f"video\n{tmp_path}/jump/a.mp4\n./jump//b.mp4\n")) == [
        "jump/a.mp4",
        "jump/b.mp4",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,split\na,holdout\n", "line 2 has split 'holdout': it is train, val, test or em"),
        ("video\na\n./a\n", "line 3 lists a twice, as .*line 2: remove one"),
        ("video,start,end\na,0,5\na,0,5.0\n", "line 3 lists a from 0 to 5 s twice"),
        ("video,start,end\na,1,2\na,,\n", "line 3 lists a as a whole and from a start"),
        ("video,start,end\na,,\na,1,2\n", "line 3 lists a as a whole and from a start"),
        ("video,start,end\na,0:05,1\n", "line 2 has start '0:05' and end '1': both are numbers"),
        ("video,start,end\na,5,\n", "line 2 has start '5' and end '': both are numbers"),
        ("video,start,end\na,5,5\n", "line 2: end 5 is not after start 5"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(read_splits, text, message):
    with pytest.raises(UserError, match=message):
        read_splits(text)


def test_the_table_is_found_in_capitals_and_another_format_is_refused(tmp_path):
    assert entries.find_splits(tmp_path) is None
    (tmp_path / "Splits.CSV").write_text("video\n")
    assert entries.find_splits(tmp_path) == tmp_path / "Splits.CSV"
    (tmp_path / "splits.xlsx").touch()
    with pytest.raises(UserError, match=r"has Splits.CSV, splits.xlsx: keep one, as splits.csv"):
        entries.find_splits(tmp_path)
    (tmp_path / "Splits.CSV").unlink()
    with pytest.raises(UserError, match=r"splits.xlsx is not read: save the table as splits.csv"):
        entries.find_splits(tmp_path)
