"""Who is refused when the engine is late, whose lateness counts, and how many come in at once."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import ENOUGH, MAX_LAG_S, RECENT_S, SETTLING_S, Admission, StreamDelays

LIMIT_S = 2.0
HOP_S = 0.128
BURST = 4


def admission() -> Admission:
    return Admission(max_partial_delay_s=LIMIT_S, max_final_delay_s=LIMIT_S, burst_streams=BURST)


@dataclass
class Player:
    """Sends one stream's hops: `pace` seconds of audio a second."""

    stream: StreamDelays
    now: float = 0.0
    pace: float = 1.0
    hop: int = field(default=-1)

    def send(self, held_up: bool = False) -> int:
        """The next hop, one hop's time after the one before."""
        self.hop += 1
        self.now += HOP_S / self.pace
        self.stream.sent(self.hop, HOP_S, held_up, self.now)
        return self.hop

    def play(self, seconds: float, delay_s: float = 0.0, is_final: bool = False) -> None:
        """Hops that each give a window, answered after so long."""
        for _ in range(round(seconds / HOP_S)):
            hop = self.send()
            self.stream.answered(hop, is_final, self.now + delay_s)


def player(on: Admission, partials: bool = True, pace: float = 1.0) -> Player:
    stream = on.open(0.0)
    stream.partials = partials
    return Player(stream, pace=pace)


def test_nothing_known_is_no_reason_to_refuse() -> None:
    idle = admission()
    assert not idle.is_overloaded(0)
    assert idle.partial_delay_s(0) is None
    assert idle.final_delay_s(0) is None


@pytest.mark.parametrize("is_final", [False, True])
def test_late_answers_refuse_and_answers_in_time_do_not(is_final: bool) -> None:
    for delay_s, refuses in ((LIMIT_S - 0.1, False), (LIMIT_S + 0.1, True)):
        busy = admission()
        playing = player(busy)
        playing.play(3, delay_s, is_final)
        assert busy.is_overloaded(playing.now + delay_s) is refuses


def test_a_few_samples_are_not_enough() -> None:
    busy = admission()
    playing = player(busy)
    playing.play((ENOUGH - 1) * HOP_S, 2 * LIMIT_S)
    assert not busy.is_overloaded(playing.now)
    playing.play(HOP_S, 2 * LIMIT_S)
    assert busy.is_overloaded(playing.now)


def test_partials_may_be_late_now_and_then_and_finals_hardly_ever() -> None:
    delays = [0.1] * 12 + [2 * LIMIT_S] * 8
    for is_final in (False, True):
        busy = admission()
        for at, delay_s in enumerate(delays):
            busy.add(is_final, delay_s, 0.1 * at)
        assert busy.is_overloaded(2) is is_final


@pytest.mark.parametrize("count", range(ENOUGH, 20))
def test_a_single_late_final_refuses_nobody(count: int) -> None:
    busy = admission()
    for at in range(count):
        busy.add(True, 10 * LIMIT_S if at == 0 else 0.2, 0.1 * at)
    assert not busy.is_overloaded(2)


def test_what_is_long_past_counts_no_more() -> None:
    busy = admission()
    playing = player(busy)
    playing.play(3, 2 * LIMIT_S)
    assert busy.is_overloaded(playing.now)
    assert not busy.is_overloaded(playing.now + 2 * LIMIT_S + RECENT_S + 0.1)


def test_windows_that_tell_the_client_nothing_are_no_samples() -> None:
    busy = admission()
    playing = player(busy)
    for _ in range(20):
        hop = playing.send()
        playing.stream.answered(hop, None, playing.now + 2 * LIMIT_S)
    assert busy.partial_delay_s(playing.now) is None
    assert busy.final_delay_s(playing.now) is None


@pytest.mark.parametrize("partials", [False, True])
def test_an_engine_that_hangs_is_noticed_without_any_answer(partials: bool) -> None:
    busy = admission()
    playing = [player(busy, partials) for _ in range(ENOUGH)]
    for stream in playing:
        stream.send()
    assert not busy.is_overloaded(HOP_S + LIMIT_S)
    assert busy.is_overloaded(HOP_S + LIMIT_S + 0.1)
    playing[0].stream.close()
    assert not busy.is_overloaded(HOP_S + LIMIT_S + 0.1)


def test_one_stream_that_hangs_is_one_sample_however_many_hops_wait() -> None:
    busy = admission()
    hanging, well = player(busy), player(busy)
    for _ in range(50):
        hanging.send()
    well.play(3, 0.2)
    assert not busy.is_overloaded(hanging.now)


def test_a_client_that_sends_a_file_shuts_nobody_out() -> None:
    """Its finals, one for every two seconds of audio, queue up behind each other."""
    for pace in (2, 20, 200):
        busy = admission()
        file = player(busy, pace=pace)
        for _ in range(round(60 / HOP_S)):
            hop = file.send()
            if hop % 16 == 0:
                file.stream.answered(hop, True, file.now + 4 * LIMIT_S)
            assert not busy.is_overloaded(file.now)
            assert not busy.is_overloaded(file.now + 4 * LIMIT_S)
        assert file.stream.is_ahead


def test_a_file_that_the_server_holds_up_stays_a_file_however_slow_it_gets() -> None:
    busy = admission()
    file = player(busy, pace=50)
    for _ in range(round(8 / HOP_S)):
        file.send()
    file.pace = 0.5
    for _ in range(round(120 / HOP_S)):
        file.send(held_up=True)
        assert file.stream.is_ahead


def test_a_live_stream_that_a_late_engine_has_held_up_stays_live_while_it_catches_up() -> None:
    busy = admission()
    live = player(busy)
    live.play(20)
    live.now += 10
    live.pace = 50
    for held_up in [True] * 3 + [False] * round(10 / HOP_S):
        live.send(held_up)
        assert not live.stream.is_ahead


def test_a_pause_saves_up_no_more_than_so_much_for_a_file() -> None:
    busy = admission()
    stream = player(busy)
    stream.play(1)
    stream.now += 3600
    stream.pace = 100
    stream.play(2 * MAX_LAG_S)
    assert stream.stream.is_ahead


def test_what_was_sent_ahead_at_the_start_is_forgotten() -> None:
    busy = admission()
    stream = player(busy, pace=100)
    stream.play(3)
    assert stream.stream.is_ahead
    stream.pace = 1
    stream.play(60)
    assert not stream.stream.is_ahead


@given(
    hop_s=st.sampled_from([0.032, 0.128, 0.256, 1.984]),
    packet_s=st.floats(0.01, 1.0),
    jitter=st.lists(st.floats(0, 0.5), min_size=1, max_size=20),
)
def test_real_time_counts_whatever_the_packets_the_hops_and_the_network(
    hop_s: float, packet_s: float, jitter: list[float]
) -> None:
    """Hops leave when the packet that completes them has come, some time after it was spoken."""
    stream = admission().open(0.0)
    arrived = 0.0
    for hop in range(round(40 / hop_s)):
        spoken = (int((hop + 1) * hop_s / packet_s) + 1) * packet_s
        arrived = max(arrived, spoken + jitter[hop % len(jitter)])
        stream.sent(hop, hop_s, False, arrived)
        assert not stream.is_ahead


delays = st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.floats(0, 30)), max_size=60)


@given(delays)
def test_the_verdict_is_that_of_the_recent_samples_alone(
    samples: list[tuple[bool, float, float]],
) -> None:
    in_order = sorted(samples, key=lambda sample: sample[2])
    all_heard, recent_heard = admission(), admission()
    now = in_order[-1][2] if in_order else 0.0
    for is_final, delay_s, at in in_order:
        all_heard.add(is_final, delay_s, at)
        if at >= now - RECENT_S:
            recent_heard.add(is_final, delay_s, at)
    assert all_heard.is_overloaded(now) == recent_heard.is_overloaded(now)
    for is_final, share in ((False, 0.5), (True, 0.9)):
        recent = sorted(d for f, d, at in in_order if f is is_final and at >= now - RECENT_S)
        found = all_heard.final_delay_s(now) if is_final else all_heard.partial_delay_s(now)
        if not recent:
            assert found is None
            continue
        assert found in recent
        assert sum(d > found for d in recent) <= (1 - share) * len(recent) + 1
        assert sum(d < found for d in recent) <= share * len(recent)


# How many are let in at once.


def settled(on: Admission, streams: int, delay_s: float) -> float:
    """Has so many streams play until their cost is known; the time then."""
    playing = [player(on) for _ in range(streams)]
    for stream in playing:
        stream.play(SETTLING_S + 1, delay_s)
    return playing[0].now


def let_in(on: Admission, now: float) -> int:
    """How many of a burst come in."""
    count = 0
    while on.why_full(now) is None and count < 1000:
        on.open(now)
        count += 1
    return count


def test_of_a_burst_on_an_idle_server_only_so_many_are_let_in() -> None:
    idle = admission()
    assert idle.free_streams(0) == let_in(idle, 0) == BURST
    assert idle.free_streams(0) == 0
    assert "a few at a time" in (idle.why_full(0) or "")
    assert not idle.is_overloaded(0)


def test_those_that_were_let_in_and_send_nothing_are_not_waited_for() -> None:
    idle = admission()
    let_in(idle, 0)
    assert idle.free_streams(SETTLING_S - 0.1) == 0
    assert idle.free_streams(SETTLING_S) == BURST


def test_streams_that_are_served_well_let_as_many_more_in() -> None:
    busy = admission()
    now = settled(busy, 10, 0.2 * LIMIT_S)
    assert let_in(busy, now) == 10


def test_the_nearer_words_are_to_the_limit_the_fewer_are_let_in() -> None:
    rooms = []
    for share in (0.2, 0.6, 0.8, 0.95, 1.05):
        busy = admission()
        rooms.append(let_in(busy, settled(busy, 20, share * LIMIT_S)))
    assert rooms == [20, 7, 1, 1, 0]


def test_a_slow_engine_that_serves_one_stream_lets_another_in() -> None:
    slow = admission()
    assert let_in(slow, settled(slow, 1, 0.7 * LIMIT_S)) == 1


def test_what_was_proven_is_let_in_at_once_when_all_come_back() -> None:
    busy = admission()
    playing = [player(busy) for _ in range(10)]
    for stream in playing:
        stream.play(SETTLING_S + 1, 0.1)
    now = playing[0].now
    assert busy.free_streams(now) == 10
    for stream in playing:
        stream.stream.close()
    assert let_in(busy, now + 60) == 10


def test_a_server_that_has_been_late_lets_no_more_in_at_once_than_it_had_then() -> None:
    busy = admission()
    late = player(busy)
    late.play(SETTLING_S + 1, 2 * LIMIT_S)
    assert busy.free_streams(late.now) == 0
    late.stream.close()
    assert let_in(busy, late.now + 60) == 1


def test_the_end_of_a_stream_frees_its_room_at_once() -> None:
    idle = admission()
    streams = [idle.open(0) for _ in range(BURST)]
    assert idle.free_streams(0) == 0
    streams[0].close()
    assert idle.free_streams(0) == 1


def test_a_stream_that_pauses_leaves_its_room_to_others_and_counts_again_when_it_goes_on() -> None:
    busy = admission()
    stream = player(busy)
    stream.play(SETTLING_S + 1, 0.1)
    assert stream.stream.is_settled(stream.now)
    stream.now += RECENT_S
    assert not stream.stream.is_live(stream.now)
    stream.play(1, 0.1)
    assert stream.stream.is_live(stream.now)
    assert not stream.stream.is_settled(stream.now)


def test_live_streams_are_counted_anew_when_somebody_comes_or_goes_and_every_second() -> None:
    busy = admission()
    stream = busy.open(0)
    assert busy.live_streams(0) == 1
    other = busy.open(0.1)
    assert busy.live_streams(0.1) == 2
    other.close()
    assert busy.live_streams(0.2) == 1
    stream.sent(0, HOP_S, False, 1)
    assert busy.live_streams(1 + RECENT_S - 0.1) == 1
    assert busy.live_streams(1 + RECENT_S + 1) == 0
