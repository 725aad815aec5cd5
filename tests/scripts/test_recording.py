"""Reading recordings: every format becomes mono PCM at a rate the wire accepts."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from scripts.recording import UnreadableAudioError, mulaw_bytes, pcm_bytes, read_recording

JFK = Path(__file__).parents[1] / "data" / "jfk.wav"


def tone(rate_hz: int) -> npt.NDArray[np.float64]:
    """Half a second at half of full scale."""
    samples: npt.NDArray[np.float64] = np.sin(2 * np.pi * 440 * np.arange(rate_hz // 2) / rate_hz)
    return 0.5 * samples


def test_a_pcm_file_comes_back_sample_for_sample() -> None:
    expected, rate_hz = soundfile.read(JFK, dtype="int16")
    recording = read_recording(JFK)
    assert recording.rate_hz == rate_hz
    np.testing.assert_array_equal(recording.pcm, expected)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_every_common_format_is_read_and_mixed_to_one_channel(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"stereo.{suffix}"
    left = tone(44_100)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 44_100)
    recording = read_recording(path)
    assert recording.rate_hz == 44_100
    assert recording.pcm.ndim == 1
    assert recording.duration_s == pytest.approx(0.5, abs=0.06)  # lossy formats pad
    assert np.abs(recording.pcm).max() == pytest.approx(0.25 * 32_768, rel=0.05)


@pytest.mark.parametrize(
    ("own_hz", "asked_hz", "sent_hz"),
    [
        (96_000, None, 48_000),
        (6_000, None, 8_000),
        (22_050, None, 22_050),
        (22_050, 16_000, 16_000),
    ],
)
def test_the_rate_is_the_files_own_unless_asked_or_not_accepted(
    own_hz: int, asked_hz: int | None, sent_hz: int, tmp_path: Path
) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(own_hz), own_hz)
    recording = read_recording(path, asked_hz)
    assert recording.rate_hz == sent_hz
    assert recording.duration_s == pytest.approx(0.5, abs=0.001)


def test_what_is_no_audio_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not audio")
    with pytest.raises(UnreadableAudioError, match=r"notes\.txt"):
        read_recording(text)
    with pytest.raises(UnreadableAudioError, match="no such file"):
        read_recording(tmp_path / "missing.wav")
    with pytest.raises(UnreadableAudioError, match="a folder"):
        read_recording(tmp_path)


def test_mu_law_has_the_values_of_g711() -> None:
    samples = np.array([0, -1, 32_767, -32_768, 1_000, -1_000], np.int16)
    assert mulaw_bytes(pcm_bytes(samples)) == bytes([0xFF, 0x7F, 0x80, 0x00, 0xCE, 0x4E])


def test_raw_audio_has_no_header_and_is_refused_with_the_way_out(tmp_path: Path) -> None:
    raw = tmp_path / "speech.raw"
    raw.write_bytes(bytes(3200))
    with pytest.raises(UnreadableAudioError, match=r"speech\.raw: .*standard input"):
        read_recording(raw)
