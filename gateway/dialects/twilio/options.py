"""What a stream's `start` message asks for, as a session's metadata.

Pure. Twilio's URLs have no query; what it passes on are the `<Parameter>`s of its `<Stream>`, which
arrive as texts in `customParameters`. Those that have the name of a field of our metadata count, as
in docs/protocol.md and without its group; all others are the application's own.
"""

from dataclasses import dataclass
from typing import Any

from gateway.dialects.metadata import OptionError, Tree, checked
from gateway.messages import parse_json, show
from gateway.protocol import OPTION_OF

SAMPLE_RATE = 8_000
ENCODING = "audio/x-mulaw"
TRACKS = ("inbound", "outbound")
_PATHS = {path.rpartition(".")[2]: path for path in (*OPTION_OF, "include_timing_info")}
_TEXTS = ("audio_language", "prompt")


@dataclass(frozen=True, slots=True)
class Stream:
    """What is known of a stream from its start."""

    stream_sid: str
    call_sid: str
    track: str
    """The one that is transcribed."""
    metadata: str
    """A session's first message."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it is listened to by."""
        return (self.call_sid, self.stream_sid)


def read_start(message: Tree) -> Stream:
    """The stream that a `start` message begins.

    Raises:
        OptionError: it cannot be transcribed, or not as it asks.
    """
    start = message.get("start")
    if not isinstance(start, dict):
        raise OptionError("start", f"found {show(start)}; accepted is an object")
    _check_format(start.get("mediaFormat", {}))
    parameters = start.get("customParameters") or {}
    if not isinstance(parameters, dict):
        raise OptionError("customParameters", f"found {show(parameters)}; accepted is an object")
    return Stream(
        stream_sid=_text(message.get("streamSid") or start.get("streamSid")),
        call_sid=_text(start.get("callSid")),
        track=_track(parameters.get("track"), start.get("tracks")),
        metadata=_metadata(parameters),
    )


def _check_format(media: Any) -> None:
    accepted = {"encoding": ENCODING, "sampleRate": SAMPLE_RATE, "channels": 1}
    if not isinstance(media, dict):
        raise OptionError("mediaFormat", f"found {show(media)}; accepted is an object")
    for name, value in accepted.items():
        if media.get(name, value) != value:
            found = show(media[name])
            raise OptionError(f"mediaFormat.{name}", f"found {found}; accepted is {value}")


def _track(asked: Any, tracks: Any) -> str:
    if asked is not None:
        if asked not in TRACKS:
            problem = f"found {show(asked)}; accepted are {' and '.join(TRACKS)}"
            raise OptionError("customParameters.track", problem)
        return str(asked)
    offered = tracks if isinstance(tracks, list) else []
    return next((track for track in TRACKS if track in offered), TRACKS[0])


def _metadata(parameters: Tree) -> str:
    tree: Tree = {"streaming_params": {"encoding": "pcm_mulaw", "sample_rate": SAMPLE_RATE}}
    for name, value in parameters.items():
        if name in _PATHS:
            _put(tree, _PATHS[name].split("."), value if name in _TEXTS else _value(value))
    names = {path: f"customParameters.{name}" for name, path in _PATHS.items()}
    return checked(tree, names)


def _put(tree: Tree, path: list[str], value: Any) -> None:
    *groups, name = path
    for group in groups:
        tree = tree.setdefault(group, {})
    tree[name] = value


def _value(text: Any) -> Any:
    """What a text stands for: `true`, `0.3`, or a list."""
    try:
        return parse_json(text)
    except (TypeError, ValueError):
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
