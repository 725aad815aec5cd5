"""Who listens to which call.

Pure. A call's frames are handed to its listeners as they come and are not kept: who comes later has
missed what was said before. A listener may be there before its call.
"""

from collections.abc import Callable

from gateway.messages import Frame

Hear = Callable[[Frame | None], None]
"""Takes a frame; None when the call is over."""


class Calls:
    """The calls of the process that somebody listens to."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Hear]] = {}

    def join(self, call: str, hear: Hear) -> None:
        """Listen to a call, by its CallSid or a StreamSid."""
        self._listeners.setdefault(call, []).append(hear)

    def leave(self, call: str, hear: Hear) -> None:
        """Listen no longer."""
        remaining = [other for other in self._listeners.get(call, []) if other != hear]
        if remaining:
            self._listeners[call] = remaining
        else:
            self._listeners.pop(call, None)

    def tell(self, names: tuple[str, ...], frame: Frame | None) -> None:
        """Hand a frame to all who listen to one of these names of a call."""
        for name in names:
            for hear in tuple(self._listeners.get(name, ())):
                hear(frame)
