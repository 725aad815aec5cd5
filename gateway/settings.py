"""Deployment settings, read once from the environment (prefix `GATEWAY_`).

Nothing else in the gateway reads the environment. A bad value is a `SettingsError` whose text is
one line: the variable, the value, and what is accepted.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.hops import hop_ms_for, hop_size
from gateway.keys import Keys
from gateway.logs import FORMATS, TEXT
from gateway.origins import ANY, is_origin
from gateway.protocol import Cadence
from gateway.ticks import Portion
from pipeline.audio import MAX_HOP_SAMPLES, VAD_FRAME_MS, WHISPER_WINDOW_S, ms_to_samples
from pipeline.options import DEFAULT_PARTIAL_INTERVAL_S, LEAST_PARTIAL_INTERVAL_S

PREFIX = "GATEWAY_"
AUTO = "auto"


class SettingsError(ValueError):
    """A setting that cannot be used; the text says which, its value and what is accepted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decides. Field `max_streams` is read from `GATEWAY_MAX_STREAMS`."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free port; the log says which."""
    triton: str = "127.0.0.1:8001"
    """The gRPC addresses of all Tritons, separated by commas."""
    published_host: str | None = None
    """The address at which others reach the server, where that is not `host`: a container's port
    is published at one."""
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys that clients may use; without any, in a file neither, everybody is let in."""
    api_keys_file: Path | None = None
    """A file with more keys, see `gateway.keys`. It is read again on SIGHUP."""
    allow_anonymous: bool = False
    """Whether a server without keys may be reached from other machines."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of pages that may connect, beside this server's own; see `gateway.origins`."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain; with it the server speaks TLS alone."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key, without a passphrase."""
    partial_interval_s: float = DEFAULT_PARTIAL_INTERVAL_S
    """Between partials of clients that do not say."""
    min_partial_interval_s: float = LEAST_PARTIAL_INTERVAL_S
    """Between partials of clients that ask for less."""
    max_streams: int = 64
    """Sessions at a time; more are refused before the upgrade."""
    max_streams_per_address: int = 0
    """The same of one client's address; 0: as many as of all."""
    proxies: int = 0
    """How many stand in front of it, whose X-Forwarded-For tells a client's address."""
    burst_streams: int = 16
    """Sessions that may begin at once before it has shown how well they are served."""
    max_partial_delay_s: float = 2
    """No new session while partials come later than this."""
    max_final_delay_s: float = 2
    """No new session while finals come later than this."""
    drain_s: float = 5
    """After SIGTERM: how long sessions may go on. No new ones begin meanwhile."""
    hop_ms: int | None = None
    """Audio of one Triton request: fewer requests against less delay. None: by the load."""
    max_message_bytes: int = 8 * 2**20
    metadata_timeout_s: float = 60
    """How long a connection may be open without its metadata."""
    idle_timeout_s: float = 14_400
    """The only close on silence."""
    idle_flush_s: float = 30
    """After this long without audio the open utterance is closed."""
    send_timeout_s: float = 10
    """How long a client may let a message lie before it counts as not reading."""
    answer_timeout_s: float = 60
    """How long Triton may answer none of a session's hops."""
    recovery_timeout_s: float = 60
    """How long a session waits for another Triton, or a restart, when its own is lost."""
    hang_timeout_s: float = 8
    """A Triton that is silent for so long is given up, though its connections are open."""
    max_audio_in_flight_s: float = 8
    """Audio of a session from its oldest unanswered hop to the newest; its socket is not read while
    it is that much."""
    ping_s: float = 20
    max_file_bytes: int = 2**30
    """Of a file that is sent to be transcribed as a whole. It lies on disk meanwhile."""
    models: tuple[str, ...] = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
    """Names under which clients of OpenAI's API may ask for the one model that is served."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    """Where `/metrics` is served, apart from the clients' port; None: nowhere, 0: any free one."""
    log_format: str = TEXT
    otlp_endpoint: str = ""
    """Where traces are sent, by OTLP over HTTP; empty: nowhere."""

    def keys(self) -> Keys:
        """The keys that count, the file's too.

        Raises:
            KeysError: the file cannot be used.
        """
        return Keys(self.api_keys, self.api_keys_file)

    @property
    def tritons(self) -> tuple[str, ...]:
        """The address of each Triton."""
        return tuple(address.strip() for address in self.triton.split(","))

    def hop_size(self, streams: int, is_ahead: bool) -> Portion:
        """Samples of a hop while so many streams are served. `is_ahead`: of real time."""
        return hop_size(self.hop_ms or hop_ms_for(streams, is_ahead), streams, is_ahead)

    @property
    def cadence(self) -> Cadence:
        """How often partials come."""
        return Cadence(self.partial_interval_s, self.min_partial_interval_s)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from variables such as `GATEWAY_PORT`; what is not set keeps its default.

        Raises:
            SettingsError: a value cannot be used.
        """
        values = {
            name: _read(PREFIX + name.upper(), environment[PREFIX + name.upper()], reader)
            for name, reader in _READERS.items()
            if PREFIX + name.upper() in environment
        }
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Whether the settings go together.

        Raises:
            SettingsError: they do not.
        """
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY need each other")
        host = self.published_host or self.host
        has_keys = bool(self.api_keys) or self.api_keys_file is not None
        if not (has_keys or self.allow_anonymous or _is_loopback(host)):
            raise SettingsError(
                f"others can reach {host}, and there are no keys: set GATEWAY_API_KEYS or "
                "GATEWAY_API_KEYS_FILE, or GATEWAY_ALLOW_ANONYMOUS=true to serve everybody"
            )


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables with the gateway's prefix that no setting reads: most likely a slip."""
    known = {PREFIX + name.upper() for name in _READERS}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


@dataclass(frozen=True, slots=True)
class _Reader:
    parse: Callable[[str], Any]
    accepted: str


def _read(variable: str, text: str, reader: _Reader) -> Any:
    try:
        return reader.parse(text.strip())
    except ValueError:
        shown = "(not shown)" if variable == "GATEWAY_API_KEYS" else repr(text)
        raise SettingsError(f"{variable}={shown} cannot be used: {reader.accepted}") from None


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _boolean(text: str) -> bool:
    _require(text in ("true", "false"))
    return text == "true"


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().lower().rstrip("/") for origin in text.split(",") if text)
    _require(all(origin == ANY or is_origin(origin) for origin in origins))
    return origins


def _text(text: str) -> str:
    _require(bool(text))
    return text


def _addresses(text: str) -> str:
    for address in text.split(","):
        host, _, port = address.strip().rpartition(":")
        _require(bool(host) and "/" not in address and 1 <= int(port) <= 65_535)
    return text


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(","))
    if keys == ("",):
        return ()
    _require(all(keys))
    return keys


def _log_format(text: str) -> str:
    _require(text in FORMATS)
    return text


def _url(text: str) -> str:
    _require(not text or text.startswith(("http://", "https://")))
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    _require(all(names))
    return names


def _integer(least: int, most: int, unit: str = "") -> _Reader:
    def parse(text: str) -> int:
        value = int(text)
        _require(least <= value <= most)
        return value

    return _Reader(parse, f"accepted is an integer from {least} to {most}{unit}")


def _seconds(most: float, may_be_0: bool = False) -> _Reader:
    def parse(text: str) -> float:
        value = float(text)
        _require(0 < value <= most or (may_be_0 and value == 0))  # false for nan
        return value

    least = "from 0" if may_be_0 else "above 0 and"
    return _Reader(parse, f"accepted is a number {least} up to {most:g} (seconds)")


def _read_interval(text: str) -> float:
    value = float(text)
    _require(LEAST_PARTIAL_INTERVAL_S <= value <= WHISPER_WINDOW_S)
    return value


_interval = _Reader(
    _read_interval,
    f"accepted is a number from {LEAST_PARTIAL_INTERVAL_S:g} to {WHISPER_WINDOW_S:g} (seconds)",
)
_MAX_HOP_MS = MAX_HOP_SAMPLES // ms_to_samples(VAD_FRAME_MS) * VAD_FRAME_MS
_DAY_S = 86_400


def _hop_ms(text: str) -> int | None:
    if text == AUTO:
        return None
    value = int(text)
    _require(0 < value <= _MAX_HOP_MS and value % VAD_FRAME_MS == 0)
    return value


_READERS: Mapping[str, _Reader] = {
    "host": _Reader(_text, "accepted is a host name or an address to listen on"),
    "published_host": _Reader(_text, "accepted is a host name or an address"),
    "port": _integer(0, 65_535),
    "triton": _Reader(
        _addresses, "accepted is HOST:PORT of a Triton's gRPC endpoint, or several with commas"
    ),
    "api_keys": _Reader(_keys, "accepted are keys with commas between them; empty for no keys"),
    "api_keys_file": _Reader(_file, "accepted is the path of a file"),
    "allow_anonymous": _Reader(_boolean, "accepted is true or false"),
    "allowed_origins": _Reader(
        _origins, "accepted are origins such as https://captions.example with commas, or *"
    ),
    "tls_certificate": _Reader(_file, "accepted is the path of a PEM file"),
    "tls_key": _Reader(_file, "accepted is the path of a PEM file"),
    "partial_interval_s": _interval,
    "min_partial_interval_s": _interval,
    "max_streams": _integer(1, 100_000),
    "max_streams_per_address": _integer(0, 100_000),
    "proxies": _integer(0, 16),
    "burst_streams": _integer(1, 100_000),
    "max_partial_delay_s": _seconds(_DAY_S),
    "max_final_delay_s": _seconds(_DAY_S),
    "drain_s": _seconds(_DAY_S, may_be_0=True),
    "hop_ms": _Reader(
        _hop_ms,
        f"accepted is {AUTO} or a multiple of {VAD_FRAME_MS} from {VAD_FRAME_MS} to {_MAX_HOP_MS}",
    ),
    "max_message_bytes": _integer(1024, 2**30, " (bytes)"),
    "metadata_timeout_s": _seconds(_DAY_S),
    "idle_timeout_s": _seconds(30 * _DAY_S),
    "idle_flush_s": _seconds(100),
    "send_timeout_s": _seconds(_DAY_S),
    "answer_timeout_s": _seconds(_DAY_S),
    "recovery_timeout_s": _seconds(_DAY_S),
    "hang_timeout_s": _seconds(600),
    "max_audio_in_flight_s": _seconds(600),
    "ping_s": _seconds(_DAY_S),
    "max_file_bytes": _integer(1024, 2**40, " (bytes)"),
    "models": _Reader(_names, "accepted are names with commas between them, one at least"),
    "metrics_host": _Reader(_text, "accepted is a host name or an address to listen on"),
    "metrics_port": _integer(0, 65_535),
    "log_format": _Reader(_log_format, f"accepted is {' or '.join(FORMATS)}"),
    "otlp_endpoint": _Reader(_url, "accepted is a URL such as http://collector:4318/v1/traces"),
}
