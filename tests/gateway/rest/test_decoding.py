"""Files of every kind become 16 kHz mono PCM, and what is no whole recording is refused."""

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.rest.decoding import BLOCK_BYTES, AudioFile, UndecodableError
from pipeline.audio import SAMPLE_RATE
from tests.gateway.rest.audio_files import (
    KINDS,
    LIBSNDFILE_KINDS,
    encode,
    encode_with_libsndfile,
    sweep,
)

TRUNCATION_SHOWS = ("wav", "flac", "m4a", "mp4", "webm")


def blocks(data: bytes) -> list[bytes]:
    file = AudioFile(io.BytesIO(data), len(data))
    try:
        return list(file.blocks())
    finally:
        file.close()


def decode(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(b"".join(blocks(data)), "<i2")


def why_not(data: bytes) -> str:
    with pytest.raises(UndecodableError) as raised:
        decode(data)
    return str(raised.value)


def likeness(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    """Correlation of the overlapping part at the best shift of up to 100 ms either way."""
    middle = one[SAMPLE_RATE : 2 * SAMPLE_RATE].astype(float)
    margin = SAMPLE_RATE // 10
    around = other[SAMPLE_RATE - margin : 2 * SAMPLE_RATE + margin].astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(around, SAMPLE_RATE)
    norms = np.linalg.norm(windows, axis=1) * np.linalg.norm(middle)
    return float(np.max(windows @ middle / norms))


@pytest.mark.parametrize("kind", KINDS)
def test_every_usual_kind_of_file_is_heard(kind: str) -> None:
    heard = decode(encode(kind, sweep()))
    assert abs(len(heard) - len(sweep())) < 0.1 * SAMPLE_RATE
    assert likeness(sweep(), heard) > 0.98


@pytest.mark.parametrize("kind", LIBSNDFILE_KINDS)
def test_so_is_what_libsndfile_writes(kind: str) -> None:
    heard = decode(encode_with_libsndfile(kind, sweep()))
    assert abs(len(heard) - len(sweep())) < 0.01 * SAMPLE_RATE
    assert likeness(sweep(), heard) > 0.98


def test_pcm_at_16_khz_comes_out_as_it_went_in() -> None:
    assert np.array_equal(decode(encode("wav", sweep())), sweep())


def test_blocks_are_about_a_second_long_and_the_duration_is_known_in_the_end() -> None:
    data = encode("mp3", sweep(10.0))
    file = AudioFile(io.BytesIO(data), len(data))
    sizes = [len(block) for block in file.blocks()]
    assert all(BLOCK_BYTES <= size < 1.5 * BLOCK_BYTES for size in sizes[:-1])
    assert file.duration_s == sum(sizes) / 2 / SAMPLE_RATE == pytest.approx(10, abs=0.1)
    file.close()


def test_an_empty_file_is_said_to_be_empty() -> None:
    assert why_not(b"") == "the file is empty"


@pytest.mark.parametrize(
    "data", [b"hello", b"\0" * 5000, b"<html>" * 1000, bytes(range(256)) * 40], ids=len
)
def test_what_is_no_audio_is_told_what_is_accepted(data: bytes) -> None:
    assert "WAV, FLAC, MP3" in why_not(data)


@pytest.mark.parametrize("kind", TRUNCATION_SHOWS)
def test_a_truncated_file_is_refused_where_its_container_says_how_long_it_is(kind: str) -> None:
    data = encode(kind, sweep())
    assert "the file" in why_not(data[: len(data) // 2])


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*TRUNCATION_SHOWS}))
def test_where_it_does_not_say_so_what_is_there_is_heard(kind: str) -> None:
    data = encode(kind, sweep())
    assert 0.8 < len(decode(data[: len(data) // 2])) / SAMPLE_RATE < 2.2


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_it_is_cut_it_is_heard_or_refused(kind: str) -> None:
    data = encode(kind, sweep())
    for size in (1, 7, 8, 9, 44, 100, 1000, len(data) - 1):
        with contextlib.suppress(UndecodableError):
            decode(data[:size])


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_wav_file_whose_length_was_not_known_when_it_began_is_heard(size: int) -> None:
    data = bytearray(encode("wav", sweep()))
    struct.pack_into("<I", data, 4, size)
    struct.pack_into("<I", data, data.index(b"data") + 4, size)
    assert np.array_equal(decode(bytes(data)), sweep())


def test_a_title_that_is_no_text_does_no_harm() -> None:
    title = b"INFOINAM" + struct.pack("<I", 4) + b"\xff\xfe\xe9\0"
    data = bytearray(encode("wav", sweep()))
    data[12:12] = b"LIST" + struct.pack("<I", len(title)) + title
    struct.pack_into("<I", data, 4, len(data) - 8)
    assert np.array_equal(decode(bytes(data)), sweep())


def test_a_damaged_part_is_left_out_and_later_times_stay_right() -> None:
    """The time stamps of a WebM file tell how long the damaged part was."""
    data = bytearray(encode("webm", sweep(10.0)))
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = bytes(len(data) // 10)
    assert abs(len(decode(bytes(data))) / SAMPLE_RATE - 10) < 0.3


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{file}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {file}\n",
        "{file}\n",
    ],
)
def test_a_file_cannot_make_the_server_read_another_one(playlist: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp3"
    secret.write_bytes(encode("mp3", sweep()))
    for address in (str(secret), secret.as_uri(), "http://127.0.0.1:9/secret.mp3"):
        assert "cannot be read as audio" in why_not(playlist.format(file=address).encode())


def set_rate(data: bytes, rate: int) -> bytes:
    """A WAV file that says it has another rate."""
    changed = bytearray(data)
    struct.pack_into("<II", changed, 24, rate, 2 * rate)
    return bytes(changed)


@pytest.mark.parametrize("rate", [1, 100, 3_999, 1_000_000])
def test_a_rate_that_would_blow_up_the_audio_is_refused(rate: int) -> None:
    assert f"{rate} Hz" in why_not(set_rate(encode("wav", sweep()), rate))


@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 96_000, 192_000])
def test_every_rate_of_recordings_is_taken(rate: int) -> None:
    heard = decode(set_rate(encode("wav", sweep()), rate))
    assert len(heard) == pytest.approx(len(sweep()) * SAMPLE_RATE / rate, rel=0.01)


def test_a_video_without_sound_has_no_audio(make_video: Callable[[], bytes]) -> None:
    assert why_not(make_video()) == "there is no audio in the file"
