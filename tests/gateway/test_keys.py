"""Keys of the settings and of a file."""

from pathlib import Path

import pytest

from gateway.keys import ANYBODY, Key, Keys, KeysError, read_keys

FILE = """# who may come in
first-secret alice max_streams=3
second-secret

  third-secret max_streams=1 carol
fourth-secret max_streams=12
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(FILE)
    return path


def bearer(keys: Keys, secret: str) -> Key | None:
    return keys.opens(f"Bearer {secret}", None)


def test_a_line_is_a_key_with_a_name_and_a_limit(file: Path) -> None:
    assert read_keys(file) == (
        Key("first-secret", "alice", 3),
        Key("second-secret", "key of line 3", None),
        Key("third-secret", "carol", 1),
        Key("fourth-secret", "key of line 6", 12),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no key"),
        ("# nothing\n\n", "has no key"),
        ("good\nsecret a b\n", "line 2 cannot be used"),
        ("secret max_streams=1 max_streams=2", "line 1 cannot be used"),
        ("max_streams=1", "line 1 cannot be used"),
        ("secret max_streams=0", "line 1: max_streams must be"),
        ("secret max_streams=many", "line 1: max_streams must be"),
        ("secret max_streams=\u0663", "line 1: max_streams must be"),
        ("secret\nother\nsecret x\n", "line 3: the key stands there twice"),
    ],
)
def test_a_bad_file_is_one_line_without_the_key(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeysError) as raised:
        Keys(file=path)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_not_there_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="cannot be read: No such file"):
        read_keys(tmp_path / "keys")
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(KeysError, match="is no UTF-8"):
        read_keys(tmp_path / "keys")


def test_without_keys_everybody_is_let_in() -> None:
    assert Keys().opens(None, None) is ANYBODY


def test_keys_of_the_settings_and_of_the_file_count_together(file: Path) -> None:
    keys = Keys(("of-the-settings", "second-secret"), file)
    assert bearer(keys, "of-the-settings") == Key("of-the-settings", "key 1")
    assert bearer(keys, "second-secret") == Key("second-secret", "key of line 3")
    assert bearer(keys, "first-secret") == Key("first-secret", "alice", 3)
    assert bearer(keys, "other") is None
    assert keys.opens(None, None) is None


def test_a_key_that_was_shown_in_another_way_counts_if_it_still_does(file: Path) -> None:
    keys = Keys(file=file)
    assert keys.opens(None, None, "first-secret") == Key("first-secret", "alice", 3)
    assert keys.opens(None, None, "gone") is None


def test_reading_again_takes_new_keys_and_drops_old_ones(file: Path) -> None:
    keys = Keys(("fixed",), file)
    file.write_text("first-secret alice max_streams=9\nnew")
    keys.reload()
    assert bearer(keys, "first-secret") == Key("first-secret", "alice", 9)
    assert bearer(keys, "new") is not None
    assert bearer(keys, "second-secret") is None
    assert bearer(keys, "fixed") is not None


@pytest.mark.parametrize("text", ["", "a secret-word too many", None])
def test_a_file_that_has_become_bad_changes_nothing_and_is_logged_once(
    file: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(file=file)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    keys.reload()
    assert bearer(keys, "first-secret") is not None
    assert len(caplog.records) == 1
    assert "the keys stay as they were" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_file_there_is_nothing_to_read_again(caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(("fixed",))
    keys.reload()
    assert bearer(keys, "fixed") is not None
    assert not caplog.records


def test_no_key_is_ever_shown(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    keys = Keys(("fixed-secret",), file)
    keys.reload()
    assert "secret" not in caplog.text
    assert "secret" not in repr([bearer(keys, "first-secret"), bearer(keys, "fixed-secret")])
