"""The conversation of one live transcription: Deepgram's messages in, `Results` out.

Sans-I/O. Its clock is the audio that has come in. A `Finalize` flushes the session; the last of
the finals that follow it says `from_finalize`, and if there is none, an empty one does.
"""

import hashlib
import json
from typing import Final

from gateway.closing import Close, CloseCode, Farewell
from gateway.dialects.deepgram import frames
from gateway.dialects.deepgram.frames import RequestInfo
from gateway.dialects.deepgram.options import Options
from gateway.dialects.dialect import Dialect, Turn
from gateway.dialects.g711 import expand_alaw
from gateway.dialects.metadata import OptionError
from gateway.dialects.wav import ACCEPTED, ALAW, PCM_16, UndecodableError, WavFormat, WavReader
from gateway.messages import FINISHED, FLUSHED, Configure, Flush, Frame, cut, parse_json
from gateway.peer import Incoming
from pipeline.audio import SAMPLE_BYTES, SAMPLE_RATE, WHISPER_WINDOW_S
from pipeline.options import DEFAULT_PARTIAL_INTERVAL_S

END_AUDIO: Final = json.dumps({"type": "end_audio"})
HEARD_LATE_S = DEFAULT_PARTIAL_INTERVAL_S
"""Words show no sooner than this; so much longer the end of an utterance waits for them."""
ASSUMED = WavFormat(PCM_16, SAMPLE_RATE)
"""What audio is that has not come yet."""
LONGEST_SPEECH_S = WHISPER_WINDOW_S - 0.5
"""An utterance is cut when a window is full, which holds a little more than its speech."""
IDLE = "NET-0001: neither audio nor a text message has come within the timeout window"
UNDECODABLE = "DATA-0000: the payload cannot be decoded as audio"
UNAVAILABLE = "NET-0000"


class DeepgramDialect(Dialect):
    """One client."""

    def __init__(self, options: Options, info: RequestInfo) -> None:
        self.response_headers = {"dg-request-id": info.request_id}
        self._options = options
        self._info = info
        self._audio = options.audio
        self._file = None if options.audio else WavReader()
        self._sha256 = hashlib.sha256()
        self._audio_bytes = 0
        self._closing = False
        self._finished = False
        self._undecodable = False
        self._finalizes = 0
        self._held: Frame | None = None  # the newest final since Finalize
        self._utterance = -1  # the newest that anything was told of
        self._span = (0.0, 0.0)
        self._utterance_end: float | None = None  # that of the last word, until it is told

    def open(self) -> Turn:
        """The metadata; where the audio's own header has to say what it is, for now."""
        return Turn((self._options.metadata(self._audio or ASSUMED),))

    def bytes_for(self, audio_bytes: int) -> int:
        """A-law becomes 16 bits; see `gateway.dialects.dialect`."""
        is_alaw = self._audio is not None and self._audio.encoding == ALAW
        return audio_bytes // SAMPLE_BYTES if is_alaw else audio_bytes

    def hear(self, message: str | bytes) -> Turn:
        """The client has said this; see `gateway.dialects.dialect`."""
        if self._closing:
            return Turn()
        if not message and isinstance(message, bytes):
            return self._close_stream()  # what clients sent before there was CloseStream
        return self._hear_audio(message) if isinstance(message, bytes) else self._hear_text(message)

    def tell(self, frame: Frame) -> list[Frame]:
        """The session has said this; see `gateway.dialects.dialect`."""
        if frame == FLUSHED:
            return self._tell_flushed()
        if frame == FINISHED:
            self._finished = True
            return [frames.metadata(self._info, self._sha256.hexdigest(), self._clock_s)]
        if frame["type"] == "error":
            return [frames.error("TranscriptionError", frame["message"])]
        return self._tell_transcription(frame) if frame["type"] == "transcription" else []

    def farewell(self, end: Close) -> Farewell:
        """The end of the session in Deepgram's close codes, behind a final that is still held."""
        held, self._held = self._held, None
        last = () if held is None else (held,)
        match end.code:
            case CloseCode.NORMAL if self._finished:
                return Farewell(last, CloseCode.NORMAL)
            case CloseCode.REFUSED if self._undecodable:
                return Farewell(last, CloseCode.REFUSED, f"{UNDECODABLE}: {end.error}")
            case CloseCode.NORMAL:
                return Farewell(last, CloseCode.INTERNAL, IDLE)
            case CloseCode.INTERNAL:
                return Farewell(last, CloseCode.INTERNAL, f"{UNAVAILABLE}: {end.error}")
            case code:
                return Farewell(last, code, end.error or "")

    # The client.

    def _hear_audio(self, packet: bytes) -> Turn:
        self._sha256.update(packet)
        requests: list[Incoming] = []
        if self._file is not None:
            packet = self._read_file(self._file, packet, requests)
        if self._audio is not None and packet:
            self._audio_bytes += len(packet)
            requests.append(expand_alaw(packet) if self._audio.encoding == ALAW else packet)
        return Turn(tuple(requests), tuple(self._utterance_ends()))

    def _read_file(self, file: WavReader, packet: bytes, requests: list[Incoming]) -> bytes:
        """The audio in a packet; once it is known what it is, that is requested before."""
        try:
            audio = file.take(packet)
            if self._audio is None and file.format is not None:
                requests.append(Configure(self._options.metadata(file.format)))
                self._audio = file.format
        except (UndecodableError, OptionError) as error:
            self._undecodable = True
            raise Close(
                CloseCode.REFUSED, f"{error}; without `encoding`, accepted is {ACCEPTED}"
            ) from None
        return audio

    def _hear_text(self, text: str) -> Turn:
        try:
            kind = parse_json(text)["type"]
        except (ValueError, TypeError, KeyError):
            kind = None
        match kind:
            case "KeepAlive":
                return Turn()
            case "Finalize":
                self._finalizes += 1
                return Turn((Flush(),))
            case "CloseStream":
                return self._close_stream()
            case "Configure":
                return Turn(replies=(frames.configure_failure(self._info),))
        accepted = "accepted are KeepAlive, Finalize, CloseStream, Configure, and binary audio"
        return Turn(replies=(frames.error("SchemaError", accepted, cut(text)),))

    def _close_stream(self) -> Turn:
        self._closing = True
        return Turn((END_AUDIO,))

    @property
    def _clock_s(self) -> float:
        """The audio that has come in."""
        if self._audio is None:
            return 0.0
        sample_bytes = SAMPLE_BYTES if self._audio.encoding == PCM_16 else 1
        return self._audio_bytes / sample_bytes / self._audio.sample_rate

    def _utterance_ends(self) -> list[Frame]:
        last_word_end_s, wait_ms = self._utterance_end, self._options.utterance_end_ms
        if last_word_end_s is None or wait_ms is None:
            return []
        if self._clock_s < last_word_end_s + wait_ms / 1000 + HEARD_LATE_S:
            return []
        self._utterance_end = None
        return [frames.utterance_end(last_word_end_s)]

    # The session.

    def _tell_transcription(self, frame: Frame) -> list[Frame]:
        told = self._tell_speech(frame)
        if frame["is_final"]:
            self._utterance_end = _last_word_end_s(frame, self._span)
            return told + self._tell_final(self._results(frame, self._is_speech_final(frame)))
        if self._options.interim_results:
            told.append(self._results(frame, speech_final=False))
        return told

    def _tell_speech(self, frame: Frame) -> list[Frame]:
        """Note where the utterance is; its first message tells that speech has begun."""
        is_new = frame["transcription_num"] > self._utterance
        self._utterance = frame["transcription_num"]
        self._utterance_end = None
        if frame["segments"]:
            self._span = (frame["segments"][0]["start_time"], frame["segments"][-1]["end_time"])
        return [frames.speech_started(self._span[0])] if is_new and self._options.vad_events else []

    def _tell_final(self, result: Frame) -> list[Frame]:
        if not self._finalizes:
            return [result]
        before = [] if self._held is None else [self._held]
        self._held = result
        return before

    def _tell_flushed(self) -> list[Frame]:
        self._finalizes -= 1
        held = self._held
        if held is None:
            self._span = (self._clock_s, self._clock_s)
            held = self._results({**frames.NO_SPEECH, "is_final": True}, self._speech_final)
        self._held = None
        return [held | {"from_finalize": True}]

    def _results(self, frame: Frame, speech_final: bool) -> Frame:
        return frames.results(
            frame,
            self._info,
            span=self._span,
            speech_final=speech_final,
            tells_language=self._options.detects_language and bool(frame["segments"]),
        )

    @property
    def _speech_final(self) -> bool:
        return self._options.speech_final

    def _is_speech_final(self, frame: Frame) -> bool:
        """Whether speech has ended here, and was not cut because an utterance may last no longer.

        A cut may lie seconds back; it is made when the audio has got as far as this.
        """
        heard_s: float = frame["timing_info"]["audio_received_sec"]
        return self._speech_final and heard_s - self._span[0] < LONGEST_SPEECH_S


def _last_word_end_s(frame: Frame, span: tuple[float, float]) -> float:
    words = [word for segment in frame["segments"] for word in segment["word_timestamps"]]
    end_s: float = words[-1]["end_time"] if words else span[1]
    return end_s
