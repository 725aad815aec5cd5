"""How many messages a client may have handled."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.pace import BATCH, BURST, MESSAGES_PER_S, PACKET_BYTES, TEXT_BYTES, Pace


def spent(pace: Pace, message: bytes | str, count: int, now: float) -> float:
    """The wait after so many messages at once."""
    return [pace.wait_s(message, now) for _ in range(count)][-1]


def test_a_burst_is_handled_at_once_and_what_is_beyond_it_waits() -> None:
    pace = Pace(0)
    assert spent(pace, b"\0", int(BURST) - 1, 0) == 0
    assert spent(pace, b"\0", 2, 0) > 0


def test_who_waits_is_woken_for_a_batch_and_not_for_each_message() -> None:
    pace = Pace(0)
    now = spent(pace, b"", int(BURST) + 1, 0)
    assert now >= BATCH / MESSAGES_PER_S
    assert spent(pace, b"", int(BATCH), now) == 0
    assert spent(pace, b"", 1, now) > 0


def test_credit_comes_back_up_to_a_burst() -> None:
    pace = Pace(0)
    spent(pace, b"", int(BURST), 0)
    assert spent(pace, b"", int(BURST), 3600) == 0
    assert spent(pace, b"", 1, 3600) > 0


def test_a_long_text_costs_more_than_a_packet_of_its_size() -> None:
    long = 65_536
    text, packet = Pace(0), Pace(0)
    for _ in range(10):
        text_s, packet_s = text.wait_s("x" * long, 0), packet.wait_s(bytes(long), 0)
    assert text_s > packet_s == 0
    assert long / TEXT_BYTES > long / PACKET_BYTES


@given(
    packet_ms=st.sampled_from([10, 20, 32, 100, 1000]),
    bytes_per_s=st.sampled_from([8000, 32_000, 96_000]),
    late_s=st.lists(st.floats(0, 3), min_size=1, max_size=10),
)
def test_real_time_never_waits_whatever_the_network_does(
    packet_ms: int, bytes_per_s: int, late_s: list[float]
) -> None:
    pace, arrived = Pace(0), 0.0
    packet = bytes(bytes_per_s * packet_ms // 1000)
    for number in range(20_000 // packet_ms):
        spoken = (number + 1) * packet_ms / 1000
        arrived = max(arrived, spoken + late_s[number * len(late_s) * packet_ms // 20_000])
        assert pace.wait_s(packet, arrived) == 0


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=300), st.booleans())
def test_however_fast_they_come_no_more_is_handled_than_the_credit_allows(
    sizes: list[int], are_texts: bool
) -> None:
    pace, now, cost = Pace(0), 0.0, 0.0
    for size in sizes:
        now += pace.wait_s("x" * size if are_texts else bytes(size), now)
        cost += 1 + size / (TEXT_BYTES if are_texts else PACKET_BYTES)
        most_for_one = 1 + 70_000 / TEXT_BYTES
        assert cost <= BURST + most_for_one + MESSAGES_PER_S * now + 1e-6
