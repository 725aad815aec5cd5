"""Fetching over HTTP, from a server that behaves as well or as badly as it is told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from build.engine.errors import StepFailedError
from build.engine.fetch import TRIES, fetch, partial_of
from build.engine.models import Download
from tests.build.engine.support import FileServer, served_files, sha256

DATA = bytes(range(256)) * 4000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"large.pt": DATA}).running() as running:
        yield running


class Pauses(list[float]):
    """Notes how long one would have waited."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def download(server: FileServer) -> Download:
    return served_files(server)["large.pt"]


def only_file(folder: Path) -> bytes:
    """The bytes of the file, beside which there is nothing."""
    assert [path.name for path in folder.iterdir()] == ["large.pt"]
    return (folder / "large.pt").read_bytes()


def leave_partial(folder: Path, data: bytes) -> Path:
    """What an interrupted run has left."""
    partial = partial_of(folder / "large.pt")
    partial.write_bytes(data)
    return partial


def test_a_file_appears_whole(download: Download, tmp_path: Path) -> None:
    fetch(download, tmp_path)
    assert only_file(tmp_path) == DATA


def test_what_is_there_is_not_asked_for(
    download: Download, server: FileServer, tmp_path: Path
) -> None:
    fetch(download, tmp_path)
    fetch(download, tmp_path)
    assert server.ranges == [None]


def test_a_cut_connection_is_gone_on_with(
    download: Download, server: FileServer, tmp_path: Path, pauses: Pauses
) -> None:
    server.cut_after = [300_000, 200_000]
    fetch(download, tmp_path, pauses)
    assert only_file(tmp_path) == DATA
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert pauses == [2, 4]


def test_an_interrupted_run_is_gone_on_with(
    download: Download, server: FileServer, tmp_path: Path
) -> None:
    leave_partial(tmp_path, DATA[:777])
    fetch(download, tmp_path)
    assert only_file(tmp_path) == DATA
    assert server.ranges == ["bytes=777-"]


def test_a_server_without_ranges_sends_it_all_again(
    download: Download, server: FileServer, tmp_path: Path, pauses: Pauses
) -> None:
    server.knows_ranges = False
    server.cut_after = [300_000]
    fetch(download, tmp_path, pauses)
    assert only_file(tmp_path) == DATA
    assert server.ranges == [None, "bytes=300000-"]


def test_a_beginning_of_something_else_is_given_up(
    download: Download, server: FileServer, tmp_path: Path
) -> None:
    leave_partial(tmp_path, b"another version")
    fetch(download, tmp_path)
    assert only_file(tmp_path) == DATA
    assert server.ranges == ["bytes=15-", None]


def test_a_complete_partial_file_is_taken_as_it_is(download: Download, tmp_path: Path) -> None:
    leave_partial(tmp_path, DATA)
    fetch(download, tmp_path)
    assert only_file(tmp_path) == DATA


def test_a_partial_file_that_is_too_long_is_given_up(
    download: Download, tmp_path: Path, pauses: Pauses
) -> None:
    leave_partial(tmp_path, DATA + b"more")
    fetch(download, tmp_path, pauses)
    assert only_file(tmp_path) == DATA


def test_a_damaged_file_is_fetched_again(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large.pt").write_bytes(DATA[:-1] + b"?")
    fetch(download, tmp_path)
    assert only_file(tmp_path) == DATA
    assert "is damaged" in capsys.readouterr().err


def test_a_wrong_checksum_keeps_nothing_and_names_both_sums(
    server: FileServer, tmp_path: Path
) -> None:
    expected = sha256(b"what we wanted")
    with pytest.raises(StepFailedError) as raised:
        fetch(Download("large.pt", server.url("large.pt"), expected), tmp_path)
    assert expected in str(raised.value)
    assert sha256(DATA) in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(
    status: int, download: Download, server: FileServer, tmp_path: Path, pauses: Pauses
) -> None:
    server.refuse = [status]
    fetch(download, tmp_path, pauses)
    assert only_file(tmp_path) == DATA


def test_a_file_that_is_not_there_is_not_asked_for_again(
    download: Download, server: FileServer, tmp_path: Path
) -> None:
    server.refuse = [404]
    with pytest.raises(StepFailedError, match="HTTP 404"):
        fetch(download, tmp_path)
    assert len(server.ranges) == 1


def test_what_has_come_is_kept_when_it_is_cut_too_often(
    download: Download, server: FileServer, tmp_path: Path, pauses: Pauses
) -> None:
    server.cut_after = [1000] * TRIES
    with pytest.raises(StepFailedError) as raised:
        fetch(download, tmp_path, pauses)
    assert f"{tmp_path / 'large.pt'} by hand" in str(raised.value)
    assert len(server.ranges) == TRIES
    assert partial_of(tmp_path / "large.pt").read_bytes() == DATA[: 1000 * TRIES]


def test_a_host_that_does_not_answer_is_one_line(
    server: FileServer, download: Download, tmp_path: Path, pauses: Pauses
) -> None:
    nobody = Download("large.pt", "http://127.0.0.1:1/large.pt", download.sha256)
    with pytest.raises(StepFailedError, match="could not be fetched") as raised:
        fetch(nobody, tmp_path, pauses)
    assert "\n" not in str(raised.value)
    assert len(pauses) == TRIES - 1


def test_progress_is_shown(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(download, tmp_path)
    assert "large.pt: 1 of 1 MiB (100 %)" in capsys.readouterr().err
