"""Inboxes and the clock as plays: `log == [(when, who, what)]`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simpy.events import NORMAL, URGENT

from simdfl.errors import ProtocolAborted
from simdfl.kernel import DEADLINE, Actor, Environment, Inbox
from simdfl.rng import Rng
from simdfl.trace import TraceRecorder, no_trace, trace_line


class Waiter(Actor):
    """Waits once and notes what came."""

    def __init__(self, env, log, need, deadline_s=None):
        super().__init__(env)
        self.log, self.need, self.deadline_s = log, need, deadline_s

    def run(self):
        got = yield self.inbox.collect("X", 0, self.need, self.deadline_s)
        self.log.append((self.env.now, sorted(got.messages.items()), got.complete))


def play(need, deadline_s, *arrivals):
    """Run one waiter; arrivals are (time, sender, message)."""
    env, log = Environment(), []
    waiter = Waiter(env, log, need, deadline_s)
    waiter.start()
    for time_s, sender, message in arrivals:
        env.at(time_s, lambda s=sender, m=message: waiter.inbox.deliver("X", 0, s, m))
    env.run()
    return log


# ---- quorum waits


def test_a_count_of_distinct_senders():
    assert play(2, None, (1.0, 7, "a"), (2.0, 7, "again"), (3.0, 5, "b")) == [(3.0, [(5, "b"), (7, "a")], True)]


def test_exactly_these_senders():
    arrivals = [(1.0, 9, "other"), (2.0, 1, "a"), (3.0, 2, "b")]
    assert play({1, 2}, None, *arrivals) == [(3.0, [(1, "a"), (2, "b")], True)]


def test_the_deadline_brings_what_is_there():
    assert play(3, 2.5, (1.0, 1, "a"), (2.0, 2, "b"), (3.0, 3, "late")) == [(2.5, [(1, "a"), (2, "b")], False)]


def test_a_message_at_the_deadline_counts_whatever_was_scheduled_first():
    assert play(1, 2.0, (2.0, 1, "a")) == [(2.0, [(1, "a")], True)]
    assert play(2, 2.0, (2.0, 1, "a")) == [(2.0, [(1, "a")], False)]


def test_waiting_for_nothing_or_for_the_past_returns_at_once():
    assert play(0, None) == [(0.0, [], True)]
    assert play(set(), None) == [(0.0, [], True)]
    assert play(1, -1.0) == [(0.0, [], False)]
    assert play(1, 0.0) == [(0.0, [], False)]


def test_what_came_before_the_wait_counts():
    env, log = Environment(), []
    waiter = Waiter(env, log, 1)
    waiter.inbox.deliver("X", 0, 3, "early")
    waiter.start()
    env.run()
    assert log == [(0.0, [(3, "early")], True)]


def test_a_message_after_an_expired_wait_is_kept_for_the_next():
    env, log = Environment(), []
    inbox = Inbox(env)

    def life():
        for deadline_s in (1.0, 3.0):
            got = yield inbox.collect("X", 0, 1, deadline_s)
            log.append((env.now, got.messages, got.complete))

    env.process(life())
    env.at(2.0, lambda: inbox.deliver("X", 0, 4, "late"))
    env.run()
    assert log == [(1.0, {}, False), (2.0, {4: "late"}, True)]


def test_the_first_copy_wins_and_a_different_second_is_a_conflict():
    env, conflicts = Environment(), []
    inbox = Inbox(env)
    inbox.on_conflict(lambda *line: conflicts.append(line))
    for message in ("a", "a", "b"):
        inbox.deliver("X", 0, 1, message)
    inbox.deliver("X", 1, 1, "b")
    assert inbox.peek("X", 0) == {1: "a"}
    assert conflicts == [("X", 0, 1, "a", "b")]
    inbox.discard("X", 0, 1)
    inbox.deliver("X", 0, 1, "b")
    assert inbox.peek("X", 0) == {1: "b"}
    assert len(conflicts) == 1


def test_forgetting_drops_old_steps_of_named_topics_only():
    env = Environment()
    inbox = Inbox(env)
    for topic in ("VALUE0", "VALUE1", "CASE"):
        for step in (0, 1):
            inbox.deliver(topic, step, 0, topic)
    inbox.forget(("VALUE",), 1)
    left = [(t, s) for t in ("VALUE0", "VALUE1", "CASE") for s in (0, 1) if inbox.peek(t, s)]
    assert left == [("VALUE0", 1), ("VALUE1", 1), ("CASE", 0), ("CASE", 1)]


def test_a_forgotten_wait_still_ends_at_its_deadline():
    env, log = Environment(), []
    waiter = Waiter(env, log, 1, 2.0)
    waiter.start()
    env.at(1.0, lambda: waiter.inbox.forget(("X",), 5))
    env.run()
    assert log == [(2.0, [], False)]


def test_listeners_take_every_message_and_nothing_is_stored():
    env, heard = Environment(), []
    inbox = Inbox(env)
    inbox.listen("TX", lambda *line: heard.append((env.now, *line)))
    inbox.deliver("TX", 0, 1, "a")
    inbox.deliver("TX", 0, 1, "a", at_s=2.0)  # from an engine that runs ahead of the clock
    assert inbox.peek("TX", 0) == {}
    env.run()
    assert heard == [(0.0, 0, 1, "a"), (2.0, 0, 1, "a")]


def test_an_engine_that_runs_ahead_wakes_at_the_arrival():
    env, log = Environment(), []
    waiter = Waiter(env, log, 2)
    waiter.start()
    env.at(1.0, lambda: [waiter.inbox.deliver("X", 0, k, k, at_s=1.0 + k) for k in (1, 2)])
    env.run()
    assert log == [(3.0, [(1, 1), (2, 2)], True)]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4)), max_size=12),
    st.one_of(st.integers(0, 5), st.frozensets(st.integers(0, 4))),
    st.one_of(st.none(), st.integers(0, 8)),
)
def test_collect_means_what_it_says(arrivals, need, deadline_s):
    """The twin: sort the arrivals, walk until the need is met or the deadline has passed."""
    heard: dict[int, int] = {}
    expected = None
    wanted = need if isinstance(need, int) else len(need)
    times = sorted({0, *[time_s for time_s, _ in arrivals], *([] if deadline_s is None else [deadline_s])})
    for time_s in times:
        for at_s, sender in sorted(arrivals, key=lambda a: a[0]):
            enough = len(heard if isinstance(need, int) else heard.keys() & need) >= wanted
            if at_s == time_s and not enough:
                heard.setdefault(sender, at_s)
        chosen = set(heard) if isinstance(need, int) else heard.keys() & need
        if len(chosen) >= wanted or time_s == deadline_s:
            expected = (time_s, sorted(chosen), len(chosen) >= wanted)
            break
    got = play(need, deadline_s, *[(float(t), s, "m") for t, s in arrivals])
    assert [(when, [who for who, _ in messages], ok) for when, messages, ok in got] == (
        [] if expected is None else [expected]
    )


# ---- the clock


def test_absolute_times_are_exact_where_delays_are_not():
    env, log = Environment(), []
    now_s, then_s = 0.3, 0.9
    assert now_s + (then_s - now_s) != then_s
    env.at(now_s, lambda: env.at(then_s, lambda: log.append(("at", env.now))))
    env.at(then_s, lambda: log.append(("first", env.now)))
    env.run()
    assert log == [("first", then_s), ("at", then_s)]


def test_until_time_wakes_exactly_then():
    env, log = Environment(initial_time=0.3), []

    def life():
        for k in range(1, 4):
            yield env.until_time(k * 1.1)
            log.append(env.now)

    env.process(life())
    env.run()
    assert log == [1.1, 2.2, 3 * 1.1]


def test_ties_run_by_priority_and_then_in_the_order_of_scheduling():
    env, log = Environment(), []
    for name, priority in (("deadline", DEADLINE), ("one", NORMAL), ("two", NORMAL), ("urgent", URGENT)):
        env.at(1.0, lambda name=name: log.append(name), priority)
    env.run()
    assert log == ["urgent", "one", "two", "deadline"]


def test_the_past_is_refused_and_events_can_be_cancelled():
    env, log = Environment(), []
    event = env.at(1.0, lambda: log.append("cancelled"))
    event.callbacks.clear()
    env.at(2.0, lambda: log.append(env.now))
    env.run()
    assert log == [2.0]
    with pytest.raises(ValueError, match="cannot schedule"):
        env.at(1.0, lambda: None)


def test_exceptions_with_several_arguments_survive_a_process():
    env = Environment()

    def life():
        yield env.timeout(1.0)
        raise ProtocolAborted("too few", 7)

    def watcher():
        yield env.process(life())

    env.process(watcher())
    with pytest.raises(ProtocolAborted) as caught:
        env.run()
    assert (caught.value.reason, caught.value.step, str(caught.value)) == ("too few", 7, "too few (step 7)")


def test_side_activities_run_beside_the_main_life():
    env, log = Environment(), []

    class Busy(Actor):
        def run(self):
            self.also(self.side())
            yield self.env.sleep(2.0)
            log.append(("main", self.env.now))

        def side(self):
            yield self.env.sleep(1.0)
            log.append(("side", self.env.now))

    Busy(env).start()
    env.run()
    assert log == [("side", 1.0), ("main", 2.0)]


# ---- streams and traces


@given(st.integers(0, 2**64), st.lists(st.one_of(st.integers(-5, 300), st.text(max_size=3)), max_size=4))
def test_streams_depend_on_seed_and_address_only(seed, parts):
    rng = Rng(seed)
    alone = rng.stream("link", *parts).random(3).tolist()
    rng.stream("other").random(100)
    assert rng.stream("link", *parts).random(3).tolist() == alone
    assert rng.stream("link", *parts, 0).random(3).tolist() != alone
    assert Rng(seed + 1).stream("link", *parts).random(3).tolist() != alone


def test_addresses_are_injective():
    rng = Rng(1)
    addresses = [("a", 1, 2), ("a", 12), ("a", "1", 2), ("a", "12"), ("a1", 2), ("a", "1i2"), ("a", 1, "2")]
    assert len({rng.key(*address) for address in addresses}) == len(addresses)


def test_neighbouring_streams_are_uncorrelated():
    """Correlation of two independent streams of 10,000 is N(0, 0.01): 6 sigma is a false alarm of 2e-9 each."""
    import numpy as np

    rows = np.array([Rng(0).stream("peer", k).standard_normal(10_000) for k in range(8)])
    off = np.corrcoef(rows) - np.eye(8)
    assert np.abs(off).max() < 0.06


@dataclass(frozen=True)
class Said:
    """An event of these tests."""

    who: int
    what: str
    data: bytes = b""
    pair: tuple[int, int] = (1, 2)
    sure: bool = True
    at_s: float = 0.1


def test_a_trace_line_is_canonical():
    line = trace_line(0.1, Said(3, "hi there", b"\x01\xff"))
    assert line == (
        "0x1.999999999999ap-4 Said who=3 what='hi there' data=01ff pair=(1,2) sure=True at_s=0x1.999999999999ap-4"
    )
    with pytest.raises(TypeError, match="may not carry"):
        trace_line(0.0, Said(3, {"a": 1}))


def test_a_digest_covers_every_event_its_time_and_order():
    def digest(*events):
        recorder = TraceRecorder(keep=False)
        for event in events:
            recorder(*event)
        assert recorder.count == len(events)
        return recorder.digest()

    one, two = (1.0, Said(1, "a")), (1.0, Said(2, "a"))
    traces = [digest(one, two), digest(two, one), digest(one), digest(one, two, two), digest((1.5, one[1]), two)]
    assert len(set(traces)) == len(traces)
    assert digest(one, two) == traces[0]


def test_the_recorder_keeps_what_it_is_told_to():
    recorder = TraceRecorder()
    recorder(1.0, Said(1, "a"))
    no_trace(1.0, Said(1, "a"))
    assert recorder.of_type(Said) == [(1.0, Said(1, "a"))]
    assert recorder.of_type(int) == []


SCRIPT = """
from dataclasses import dataclass
from simdfl.kernel import Environment, Inbox
from simdfl.rng import Rng
from simdfl.trace import TraceRecorder

@dataclass(frozen=True)
class Got:
    senders: tuple

env, trace = Environment(), TraceRecorder()
inbox = Inbox(env)
names = {f"peer{k}" for k in range(20)}

def life():
    for step in range(5):
        got = yield inbox.collect("X", step, {3, 1, 2}, None)
        trace(env.now, Got(tuple(got.messages)))

env.process(life())
for step in range(5):
    for peer in (1, 2, 3):
        at_s = float(Rng(5).stream("arrival", step, peer).random()) + step
        env.at(at_s, lambda s=step, p=peer: inbox.deliver("X", s, p, "m"))
env.run()
print(trace.digest())
"""


def test_traces_do_not_depend_on_the_hash_seed():
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(digests) == 1
