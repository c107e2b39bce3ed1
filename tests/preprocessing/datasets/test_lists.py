import unicodedata

import pytest

from preprocessing.datasets import lists
from preprocessing.errors import UserError

COLUMNS = ("video", "class", "group", "split", "start", "end")
TEXT = "video,group\njump/über uns.mp4,Café\nwave/b.mp4,\n"
ROWS = [("jump/über uns.mp4", "Café"), ("wave/b.mp4", "")]


@pytest.fixture
def read(tmp_path):
    """Function of the bytes of a table that reads it."""

    def read(data):
        path = tmp_path / "splits.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return lists.read_rows(path, COLUMNS, ["video"])

    return read


def _pairs(rows):
    return [(values["video"], values["group"]) for _, values in rows]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_every_encoding_of_a_spreadsheet(read, encoding):
    text = f"\ufeff{TEXT}" if encoding in ("utf-16-le", "utf-16-be") else TEXT
    assert _pairs(read(text.encode(encoding))) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_separator_and_line_end(read, separator, end):
    assert _pairs(read(TEXT.replace(",", separator).replace("\n", end))) == ROWS


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=;;"])
def test_excels_line_above_the_names_is_no_row(read, line):
    assert _pairs(read(f"{line}\r\nvideo;group\r\na.mp4;x\r\n")) == [("a.mp4", "x")]


@pytest.mark.parametrize(
    "text",
    [
        "Video, GROUP\njump/a.mp4, monday\n",
        "video ,group\n jump/a.mp4 ,\tmonday \n",
        "\xa0video;group\xa0\njump/a.mp4\xa0;\xa0monday\n",
        '"video","group"\n"jump/a.mp4" , "monday"',
        "\n\nvideo,group\n\n,\n , \njump/a.mp4,monday\n,,,\n",
        "video,group,,\njump/a.mp4,monday,,\n",
        "video;group;;\njump/a.mp4;monday\n",
        "group,video\nmonday,jump/a.mp4\n",
    ],
)
def test_blanks_capitals_and_empty_rows(read, text):
    rows = read(text)
    assert [values for _, values in rows] == [
        dict.fromkeys(COLUMNS, "") | {"video": "jump/a.mp4", "group": "monday"}
    ]


def test_values_that_hold_a_separator_or_a_quote(read):
    rows = read('video,group\n"jump/a, b.mp4","x;y"\nwave/5" disk.mp4,"say ""no"""\n')
    assert _pairs(rows) == [("jump/a, b.mp4", "x;y"), ('wave/5" disk.mp4', 'say "no"')]


@pytest.mark.parametrize(
    "text", ["video\na b;c.mp4\n", "VIDEO\r\na b;c.mp4", 'video\n"a b;c.mp4"\n']
)
def test_one_column(read, text):
    assert [values["video"] for _, values in read(text)] == ["a b;c.mp4"]


def test_a_row_knows_its_line(read, tmp_path):
    rows = read("\nvideo\n\na.mp4\n\nb.mp4\n")
    assert [where for where, _ in rows] == [f"{tmp_path / 'splits.csv'} line {k}" for k in (4, 6)]


def test_a_table_of_names_alone_has_no_rows(read):
    assert read("video,group\n") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "video,groups\na,b\n",
            "the unknown column groups: .*groups: did you mean group?",
        ),
        ("video,color\na,b\n", "line 1 has the unknown column color: known are `video`, `class`"),
        ("vidoe,group\na,b\n", "columns vidoe, group: it needs `video`.*did you mean video?"),
        ("name;path\na;b\n", "line 1 has columns name, path: it needs `video`"),
        ("jump/a.mp4,train\n", "line 1 has columns jump/a.mp4, train: it needs `video`"),
        ("video,group,Group\na,b,c\n", "line 1 names the column group twice"),
        ("video,group\na,b\nc,d,e\n", "line 3 has 3 values for the columns video, group: put"),
        ("video\na, b.mp4\n", "line 2 has 2 values for the columns video: put"),
        ("video,,group\na,b,c\n", "line 2 has 3 values for the columns video, group"),
        ('video,group\na,b\n"c,d\n', "line 3 has a quote that is not closed"),
        ('video,group\na,"b', "line 2 has a quote that is not closed"),
        ('video,group\n"a,b\nc,d\ne,"f"\n', "line 2 has a quote that is not closed"),
        ('video,group\n"a,b\n' + 50_000 * "c,d\n", "line 2 has a quote that is not closed"),
        ("video,group\na,b\n,c\n", "line 3 has no video: fill it in"),
        ("", "is empty: it needs a line with the columns `video`, `class`"),
        (" \n,;\n", "it needs `video`|is empty"),
        (b"PK\x03\x04\x00\x00video", "is no text in UTF-8: save it as CSV"),
        (b"\xff\xfea", "is no text in utf-16: save it as CSV"),
        (b"video\n\x81\x8d.mp4\n", "is no text in UTF-8: save it as CSV"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(read, data, message):
    with pytest.raises(UserError, match=message) as caught:
        read(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "jump/über uns.mp4",
        "./jump/über uns.mp4",
        ".\\jump\\über uns.mp4",
        "jump//./über uns.mp4 ",
        "\xa0jump/über\xa0uns.mp4",
        unicodedata.normalize("NFD", "jump/über uns.mp4"),
    ],
)
def test_the_key_of_a_path(text):
    assert lists.path_key(text) == "jump/über uns.mp4"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Archery/v_Archery_g01_c01.avi", "v_Archery_g01_c01"),
        ("Archery\\v_Archery_g01_c01.MP4", "v_Archery_g01_c01"),
        ("frames/v_Archery_g01_c01", "v_Archery_g01_c01"),
        ("Dr._Who_1.5_wave_f_cm_np1", "Dr._Who_1.5_wave_f_cm_np1"),
    ],
)
def test_a_clip_is_called_as_its_file_without_a_videos_ending(path, name):
    assert lists.clip_name(path) == name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1 Archery\n2 Bow\n\n", {1: "Archery", 2: "Bow"}),
        ("\ufeff2 Bow\r\n1 air drumming\r\n", {1: "air drumming", 2: "Bow"}),
        ("Archery\nair drumming\n", {0: "Archery", 1: "air drumming"}),
        ("0,Archery\n1,Bow\n", {0: "Archery", 1: "Bow"}),
        ("1 Archery\nBow\n", {0: "1 Archery", 1: "Bow"}),
    ],
)
def test_class_names_have_their_numbers_or_count_from_0(tmp_path, text, names):
    path = tmp_path / "classInd.txt"
    path.write_text(text)
    assert lists.read_class_names(path) == names


@pytest.mark.parametrize(("text", "what"), [("1 A\n1 B\n", "number 1"), ("A\nB\nA\n", "class A")])
def test_a_number_or_name_of_two_classes_is_refused(tmp_path, text, what):
    path = tmp_path / "classInd.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=f"classInd.txt has the {what} twice"):
        lists.read_class_names(path)


def test_official_splits_are_gathered_and_a_clip_on_both_sides_is_refused():
    entries = [("a line 1", "a", "1", "train"), ("b line 1", "a", "2", "test"), ("c", "b", "1", "")]
    assert lists.official_splits(entries) == {"a": {"1": "train", "2": "test"}, "b": {}}
    with pytest.raises(UserError, match=r"^d line 7 puts a into the train part of fold 2, and an"):
        lists.official_splits([*entries, ("d line 7", "a", "2", "train")])


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        lists.read_rows(tmp_path, COLUMNS, ["video"])
