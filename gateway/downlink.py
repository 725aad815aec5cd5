"""A session's way down: Triton's answers become frames for the client, in order.

Pure but for the clock: it sends nothing. The order is `gateway.relay`'s.
"""

import logging
import time

from gateway.closing import EngineUnavailable
from gateway.in_flight import HopsInFlight, SentHop
from gateway.messages import Frame, error_frame
from gateway.relay import Relay
from gateway.triton import Answer
from pipeline.audio import samples_to_s

MAX_ERRORS_IN_A_ROW = 8
"""Hops that fail one after the other until the engine counts as unavailable."""
_MAX_ERROR_CHARS = 200

logger = logging.getLogger(__name__)


class Downlink:
    """Turns one session's answers into frames."""

    def __init__(self, in_flight: HopsInFlight, relay: Relay, timing_info: bool) -> None:
        self._in_flight = in_flight
        self._timing_info = timing_info
        self._relay = relay
        self._errors_in_a_row = 0

    def frames(self, answer: Answer) -> list[Frame]:
        """The frames that this answer lets go, oldest first.

        Raises:
            EngineUnavailable: too many hops have failed one after the other.
        """
        sent = self._in_flight.get(answer.hop)
        if sent is None:
            return []
        errors = self._error_frames(answer.error)
        message = answer.transcript
        if message is not None and self._timing_info:
            message |= _timing(sent, answer.arrived_at)
        first_hop = sent.hop.first_hop
        return errors + self._relay.answer(answer.hop, first_hop, message, answer.resume)

    def _error_frames(self, error: str | None) -> list[Frame]:
        if error is None:
            self._errors_in_a_row = 0
            return []
        self._errors_in_a_row += 1
        if self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
            raise EngineUnavailable(f"{self._errors_in_a_row} hops failed in a row: {error}")
        logger.warning("a hop failed: %s", error)
        reason = error.strip().partition("\n")[0][:_MAX_ERROR_CHARS]
        return [error_frame(f"a part of the audio could not be transcribed: {reason}")]


def _timing(sent: SentHop, arrived_at: float) -> Frame:
    latency_s = arrived_at - sent.sent_at
    arrived_at_unix = time.time() - (time.monotonic() - arrived_at)
    return {
        "pipeline_latency": round(latency_s, 4),
        "timing_info": {
            "audio_received_sec": samples_to_s(sent.hop.end_position),
            "hop_sent_at": round(arrived_at_unix - latency_s, 4),
            "answered_at": round(arrived_at_unix, 4),
        },
    }
