"""Where the clients of each dialect come in."""

from gateway.dialects.deepgram.entrance import DeepgramEntrance
from gateway.dialects.dialect import Entrance
from gateway.dialects.realtime.entrance import RealtimeEntrance

ENTRANCES: tuple[Entrance, ...] = (DeepgramEntrance(), RealtimeEntrance())
