"""A WAV file as it streams in: its header says what the audio is, what follows is the audio.

Pure. For clients that declare no encoding and send a file. It knows RIFF and no other container.
What comes out depends on the bytes and not on how they were cut into packets.
"""

import struct
from dataclasses import dataclass

_RIFF_HEADER = struct.Struct("<4sI4s")
_PART_HEADER = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
"""Format tag, channels, rate, bytes per second, block size, bits per sample (RIFF MCI, 1991)."""
_EXTENSIBLE = 0xFFFE
_EXTENSIBLE_TAG = slice(24, 26)
"""Where the format tag stands when the first one says extensible."""
MAX_HEADER_BYTES = 65_536
_LENGTH_UNKNOWN = 0x7FFF_0000
"""A length above, or 0, was written before the length was known: all that follows is audio."""
PCM_16, ALAW, MULAW = "linear16", "alaw", "mulaw"
_ENCODINGS = {(1, 16): PCM_16, (6, 8): ALAW, (7, 8): MULAW}
ACCEPTED = "WAV with 16-bit PCM, A-law or mu-law and one channel"


class UndecodableError(ValueError):
    """The bytes are no WAV file that can be taken; one line says why."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the header says."""

    encoding: str
    sample_rate: int


class WavReader:
    """Reads one file."""

    def __init__(self) -> None:
        self._header = b""
        self._left: int | None = 0  # audio bytes to come; None: no end is known
        self.format: WavFormat | None = None
        """What the audio is; None while the header is not complete."""

    def take(self, packet: bytes) -> bytes:
        """The audio in the next bytes.

        Raises:
            UndecodableError: it is no file that can be taken.
        """
        if self.format is None:
            self._header += packet
            packet = self._read_header()
        if self._left is None:
            return packet
        audio = packet[: self._left]
        self._left -= len(audio)
        return audio

    def _read_header(self) -> bytes:
        """Read the header if it is complete; the bytes behind it."""
        header = self._header
        _check_magic(header)
        found: WavFormat | None = None
        at = _RIFF_HEADER.size
        while len(header) >= at + _PART_HEADER.size:
            name, size = _PART_HEADER.unpack_from(header, at)
            at += _PART_HEADER.size
            if name == b"data":
                if found is None:
                    raise UndecodableError("the audio comes before its format")
                self.format, self._header = found, b""
                self._left = size if 0 < size < _LENGTH_UNKNOWN else None
                return header[at:]
            if name == b"fmt " and len(header) >= at + size:
                found = _read_format(header[at : at + size])
            at += size + size % 2
        if max(at, len(header)) > MAX_HEADER_BYTES:
            raise UndecodableError(f"its header is longer than {MAX_HEADER_BYTES} bytes")
        return b""


def _check_magic(header: bytes) -> None:
    if not (b"RIFF".startswith(header[:4]) and b"WAVE".startswith(header[8:12])):
        raise UndecodableError("it is no WAV file")


def _read_format(part: bytes) -> WavFormat:
    if len(part) < _FORMAT.size:
        raise UndecodableError("its format is cut short")
    tag, channels, rate, _, _, bits = _FORMAT.unpack_from(part)
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(part[_EXTENSIBLE_TAG], "little")
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None or channels != 1:
        raise UndecodableError(f"it has format {tag} with {bits} bits and {channels} channels")
    return WavFormat(encoding, rate)
