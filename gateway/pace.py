"""How many messages of a client are handled in a second, so that none takes the others' time.

Pure: it knows no clock and no socket. Handling a message costs the same whatever is in it, and a
client can send a hundred thousand empty ones a second. So each costs credit, which comes back with
time; who has none left waits, and is read no further meanwhile. A text costs more, since it is
parsed. Audio in packets of 10 ms needs a tenth of the credit that there is.
"""

MESSAGES_PER_S = 1000.0
BURST = 500.0
"""Messages at once: what half a second of silence in a network has held up, many times over."""
BATCH = 20.0
"""Who waits, waits for so many: waking up for each one would cost as much as it saves."""
PACKET_BYTES = 4096
TEXT_BYTES = 512
"""Of a packet, and of a text, that cost as much as a message more."""


class Pace:
    """One client's credit."""

    def __init__(self, now: float) -> None:
        """`now` and all later times: seconds of any monotonic clock."""
        self._credit = BURST
        self._at = now

    def wait_s(self, message: bytes | str, now: float, joined: int = 0) -> float:
        """A message is handled, so many more joined to it; how long to wait before the next one."""
        regained = MESSAGES_PER_S * (now - self._at)
        self._at = now
        size = PACKET_BYTES if isinstance(message, bytes) else TEXT_BYTES
        cost = 1 + joined + len(message) / size
        self._credit = min(BURST, self._credit + regained) - cost
        return (BATCH - self._credit) / MESSAGES_PER_S if self._credit < 0 else 0.0
