"""Where the clients of each dialect come in."""

from gateway.dialects.deepgram.entrance import DeepgramEntrance
from gateway.dialects.dialect import Entrance
from gateway.dialects.realtime.entrance import RealtimeEntrance
from gateway.dialects.twilio.calls import Calls
from gateway.dialects.twilio.entrance import TwilioEntrance


def entrances(calls: Calls) -> tuple[Entrance, ...]:
    """Those of one gateway. `calls` are told what is said on the phone."""
    return DeepgramEntrance(), RealtimeEntrance(), TwilioEntrance(calls)
