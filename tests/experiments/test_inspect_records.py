import cv2


def test_a_page_and_a_contact_sheet(run_program, tiny_records, tmp_path):
    command = [f"--records={tiny_records.folder}", f"--output={tmp_path / 'out'}"]
    done = run_program("inspect_records", *command, "--video=v_Still_g05_c01")
    assert done.returncode == 0, done.stderr
    picture = cv2.imread(str(tmp_path / "out" / "v_Still_g05_c01.png"))
    assert picture.shape[1] == 8 * 134 + 6  # group 5 has 10 frames, of which eight are shown
    page = (tmp_path / "out" / "summary.html").read_text()
    for text in ("<td>Still</td>", "v_Still_g05_c01", "<b>24</b> videos", "None: every video"):
        assert text in page
    assert page.count("data:image/png;base64,") == 1 and 'src="http' not in page

    # Without --video, one of ordinary motion of the class that moves most.
    assert run_program("inspect_records", *command).returncode == 0
    (other,) = {path.name for path in (tmp_path / "out").glob("*.png")} - {"v_Still_g05_c01.png"}
    assert other.startswith(("v_Left", "v_Right"))


def test_mistakes_are_one_line(check_mistakes, tiny_records, tmp_path):
    output, like = f"--output={tmp_path}", "has no video 'still_g05': there are v_Still_g05_c01"
    mistakes = [
        ((), "--records is missing"),
        (("--records=/nowhere", output), "records folder /nowhere does not exist"),
        ((f"--records={tiny_records.folder}", output, "--video=still_g05"), like),
    ]
    check_mistakes("inspect_records", mistakes)
