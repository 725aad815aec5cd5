"""Who is let in, and who is in: keys, origins, limits and the load, asked in this order.

Knows no HTTP library and no websocket: it is asked with headers and an address, and answers with a
refusal or with the key that has opened. Whoever is let in takes a place, with no await between the
two.
"""

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.addresses import household
from gateway.admission import Admission, StreamDelays
from gateway.auth import WHY_REFUSED
from gateway.keys import Key, Keys
from gateway.origins import is_allowed
from gateway.refusal import Refusal, RefusalType, refuse
from gateway.settings import Settings

STOPPING = "this server is stopping"


@dataclass(frozen=True, slots=True)
class Place:
    """What a session holds while it lasts."""

    id: str
    key: Key
    delays: StreamDelays


class Door:
    """The places of one process."""

    def __init__(self, settings: Settings, keys: Keys, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission
        self._of_key: Counter[str] = Counter()
        self._of_address: Counter[str] = Counter()
        self.keys = keys
        self.places: dict[str, Place] = {}
        """By their ids, those that are taken."""
        self.is_closed = False
        """Whether nobody is let in any more."""
        self.on_left: Callable[[], None] = lambda: None
        """Called when somebody has left."""

    def identify(self, headers: Mapping[str, str], shown: str | None = None) -> Refusal | Key:
        """Which key these headers open with, from a page that may talk to this server.

        `shown`: a secret that the request has shown in another way already.
        """
        subprotocols = headers.get("Sec-WebSocket-Protocol")
        key = self.keys.opens(headers.get("Authorization"), subprotocols, shown)
        if key is None:
            problem = f"the API key is missing or unknown; {WHY_REFUSED}"
            return refuse(RefusalType.UNAUTHORIZED, problem)
        origin, host = headers.get("Origin"), headers.get("Host")
        if not is_allowed(origin, host, self._settings.allowed_origins):
            problem = "pages of this origin may not connect; GATEWAY_ALLOWED_ORIGINS names others"
            return refuse(RefusalType.FORBIDDEN_ORIGIN, problem)
        return key

    def ask(
        self, headers: Mapping[str, str], address: str | None, shown: str | None = None
    ) -> Refusal | Key:
        """The same, of who wants a place, if there is one now."""
        answer = self.identify(headers, shown)
        if isinstance(answer, Refusal):
            return answer
        return self._why_no_place(answer, address) or answer

    @contextlib.contextmanager
    def place(self, key: Key, address: str | None) -> Iterator[Place]:
        """One of the places, for as long as it is held."""
        place = Place(secrets.token_hex(4), key, self._admission.open(time.monotonic()))
        self.places[place.id] = place
        with _counted(self._of_key, key.secret), _counted(self._of_address, household(address)):
            try:
                yield place
            finally:
                place.delays.close()
                del self.places[place.id]
                self.on_left()

    def free_streams(self) -> int:
        """How many more streams would be let in and served in time, by the estimate."""
        if self.is_closed:
            return 0
        left = self._settings.max_streams - len(self.places)
        return max(0, min(left, self._admission.free_streams(time.monotonic())))

    def _why_no_place(self, key: Key, address: str | None) -> Refusal | None:
        if self.is_closed:
            return refuse(RefusalType.STOPPING, STOPPING)
        most = self._settings.max_streams
        if len(self.places) >= most:
            return refuse(RefusalType.TOO_MANY_STREAMS, f"all {most} streams are taken")
        if key.max_streams is not None and self._of_key[key.secret] >= key.max_streams:
            problem = f"all {key.max_streams} streams of this key are taken"
            return refuse(RefusalType.TOO_MANY_STREAMS_OF_KEY, problem)
        most = self._settings.max_streams_per_address
        if most and self._of_address[household(address)] >= most:
            problem = f"all {most} streams of this address are taken"
            return refuse(RefusalType.TOO_MANY_STREAMS_OF_ADDRESS, problem)
        full = self._admission.why_full(time.monotonic())
        return None if full is None else refuse(RefusalType.OVERLOADED, full)


@contextlib.contextmanager
def _counted(counter: Counter[str], name: str) -> Iterator[None]:
    counter[name] += 1
    try:
        yield
    finally:
        counter[name] -= 1
        if not counter[name]:
            del counter[name]
