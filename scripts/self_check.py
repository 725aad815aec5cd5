"""Streams a known recording through the served ensemble and judges what comes back.

    python scripts/self_check.py
    python scripts/self_check.py --triton 127.0.0.1:8001 --timeout 600

The proof on first start, between Triton and the gateway: an engine that was built wrongly often
loads well and answers nonsense. Triton's address is taken from GATEWAY_TRITON, as the gateway's is.
Prints what was heard and how long after the speech, and a line for each thing that is wrong. Exit
status: 0 all is well, 1 Triton is not there or something is wrong.
"""

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs from anywhere

from pipeline.audio import SAMPLE_RATE
from pipeline.contract import ENSEMBLE
from pipeline.options import StreamOptions
from scripts import arguments
from scripts.display import Message
from scripts.ensemble_stream import MAX_SEQUENCE_ID, EnsembleStream
from scripts.error_rate import word_errors
from scripts.recording import Recording, read_recording
from scripts.triton_stream import DEFAULT_TRITON, transcribe

RECORDING = Path(__file__).resolve().parents[1] / "tests/data/jfk.wav"
SAID = (
    "And so, my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)
LANGUAGE = "en"
SPEECH_S = (0.3, 10.6)
"""From the first word of the recording to the end of the last."""
MAX_ERROR_PERCENT = 20.0
"""Four of the 22 words. Whisper base errs in one at most; a wrong build errs in most of them."""
TIME_TOLERANCE_S = 1.0
OPTIONS = StreamOptions(language="auto", partials=True, word_timestamps=True)
"""Everything that an engine can be wrong in: detection, partials, and word times as well."""

POLL_S = 0.5
PATIENCE_S = 2.0
"""For Triton's answer to the question whether it is ready."""


class Heard(NamedTuple):
    """A message and how long after the end of its speech it came."""

    message: Message
    delay_s: float


def main(command_line: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = _parser().parse_args(command_line)
    try:
        wait_until_ready(args.triton, args.timeout)
        with triton.InferenceServerClient(args.triton) as client:
            heard = list(listen(client, read_recording(RECORDING, SAMPLE_RATE), args.speed))
    except InferenceServerException as error:
        print(f"self_check.py: Triton at {args.triton}: {error.message()}", file=sys.stderr)
        return 1
    print(summary(heard))
    faults = judge([each.message for each in heard], args.max_error_percent)
    for fault in faults:
        print(f"self_check.py: {fault}", file=sys.stderr)
    return 1 if faults else 0


def wait_until_ready(address: str, timeout_s: float) -> None:
    """Return when every model is loaded.

    Raises:
        InferenceServerException: it was not so within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (reason := _why_not_ready(address)) is not None:
        if time.monotonic() > deadline:
            raise InferenceServerException(f"not ready after {timeout_s:g} s ({reason})")
        time.sleep(POLL_S)


def listen(
    client: triton.InferenceServerClient, recording: Recording, speed: float
) -> Iterator[Heard]:
    """All messages of the recording, sent at `speed` times real time."""
    with EnsembleStream(client, OPTIONS, random.randint(1, MAX_SEQUENCE_ID)) as stream:
        started = time.monotonic()
        for message in transcribe(stream, recording.pcm, speed):
            spoken_s = (_segments(message) or [{}])[-1].get("end_time") or 0.0
            due = started + spoken_s / speed if speed else started
            yield Heard(message, time.monotonic() - due)


def summary(heard: list[Heard]) -> str:
    """What was heard, how many words differ, and when the last final came."""
    text = _text([each.message for each in heard])
    found = word_errors(SAID, text, LANGUAGE)
    finals = [each for each in heard if each.message.get("is_final")]
    late = f"{finals[-1].delay_s:.2f} s after the speech" if finals else "never"
    return f"Heard {text!r}: {found.errors} of {found.words} words differ; the final came {late}."


def judge(messages: list[Message], max_error_percent: float = MAX_ERROR_PERCENT) -> list[str]:
    """A line for each thing that a working engine does not do; none when all is well."""
    finals = [message for message in messages if message.get("is_final")]
    segments = [segment for message in finals for segment in _segments(message)]
    if not segments:
        return ["no final with text came back: the engine is silent"]
    return [
        *_wrong_words(_text(messages), max_error_percent),
        *_wrong_language(finals),
        *_wrong_log_probs(segments),
        *_wrong_times(segments),
        *_wrong_word_times(segments),
        *_no_partials(messages),
    ]


def _why_not_ready(address: str) -> str | None:
    """A new client each time: one that was refused waits ever longer before it tries again."""
    with triton.InferenceServerClient(address) as client:
        try:
            if not client.is_server_ready(client_timeout=PATIENCE_S):
                return "its models are not loaded"
            is_served = client.is_model_ready(ENSEMBLE, client_timeout=PATIENCE_S)
        except InferenceServerException as error:
            return str(error.message())
    return None if is_served else f"it serves no {ENSEMBLE}"


def _wrong_words(text: str, most_percent: float) -> list[str]:
    found = word_errors(SAID, text, LANGUAGE)
    if found.rate_percent <= most_percent:
        return []
    return [
        f"{found.rate_percent:.0f} % of the words are wrong and {most_percent:g} % are accepted "
        f"({found.substitutions} others, {found.deletions} missing, {found.insertions} added): "
        f"what was said is {SAID!r}"
    ]


def _wrong_language(finals: list[Message]) -> list[str]:
    found = {final.get("language_code") for final in finals if _segments(final)}
    return [] if found == {LANGUAGE} else [f"the language is {LANGUAGE}, detected as {found}"]


def _wrong_log_probs(segments: list[Message]) -> list[str]:
    values = [_number(segment, "log_prob") for segment in segments]
    if not all(map(math.isfinite, values)):
        return [f"log-probabilities are missing or no numbers: {values}"]
    if max(values) > 0:
        return [f"log-probabilities above 0: {values}"]
    if max(values) == 0:
        return [
            "a text's log-probability is exactly 0: the engine returns none (it wants a sampling "
            "parameter and return_log_probs)"
        ]
    return []


def _wrong_times(segments: list[Message]) -> list[str]:
    times = _times(segments)
    if not _rise(times):
        return [f"the times of the segments do not rise: {times}"]
    found = (times[0], times[-1])
    if any(abs(a - b) > TIME_TOLERANCE_S for a, b in zip(found, SPEECH_S, strict=True)):
        return [
            f"speech is found from {found[0]} to {found[1]} s, and it is from {SPEECH_S[0]} to "
            f"{SPEECH_S[1]} s"
        ]
    return []


def _wrong_word_times(segments: list[Message]) -> list[str]:
    for segment in segments:
        words = segment.get("word_timestamps") or []
        if " ".join(word["word"] for word in words) != segment["text"]:
            return [f"the words with times are not those of the text {segment['text']!r}: {words}"]
        if not _rise(_times(words)):
            return [f"the times of the words do not rise: {words}"]
    return []


def _no_partials(messages: list[Message]) -> list[str]:
    shown = any(_segments(message) for message in messages if not message.get("is_final"))
    return [] if shown else ["no partial came while the recording was streamed"]


def _times(spans: list[Message]) -> list[float]:
    """Starts and ends, in seconds, in their order."""
    return [_number(span, name) for span in spans for name in ("start_time", "end_time")]


def _rise(times: list[float]) -> bool:
    """Whether no time is before the one in front of it; nan is never."""
    return all(earlier <= later for earlier, later in pairwise(times))


def _number(values: Message, name: str) -> float:
    """nan where there is none."""
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) else math.nan


def _segments(message: Message) -> list[Message]:
    return message.get("segments") or []


def _text(messages: list[Message]) -> str:
    """The text of the finals."""
    finals = [message for message in messages if message.get("is_final")]
    return " ".join(segment["text"] for final in finals for segment in _segments(final))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--triton",
        metavar="HOST:PORT",
        default=os.environ.get("GATEWAY_TRITON", DEFAULT_TRITON),
        help="default: %(default)s",
    )
    parser.add_argument(
        "--timeout",
        type=arguments.positive,
        metavar="S",
        default=60,
        help="seconds until Triton has to be ready (default: %(default)s)",
    )
    parser.add_argument(
        "--speed",
        type=arguments.speed,
        default=1.0,
        metavar="X",
        help="1: real time (default), 0: as fast as Triton answers",
    )
    parser.add_argument(
        "--max-error-percent",
        type=float,
        metavar="X",
        default=MAX_ERROR_PERCENT,
        help="words that may differ (default: %(default)g)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
