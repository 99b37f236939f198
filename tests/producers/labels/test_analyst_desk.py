"""The analysts' desk against a plain simulation, step by step of event time."""

from hypothesis import given
from hypothesis import strategies as st

from producers.labels.analyst_desk import AnalystDesk

CASES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=40)


class PlainDesk:
    """The same rules, asked at every millisecond."""

    def __init__(self, analysts, case_ms, longest, patience):
        self.free_at, self.case_ms = [0] * analysts, case_ms
        self.longest, self.patience = longest, patience
        self.queue, self.seen, self.crowded, self.stale = [], [], 0, 0

    def run(self, cases, until):
        for now in range(until + 1):
            for number, (at, worth) in enumerate(cases):
                if at == now:
                    self.queue = sorted([*self.queue, (worth, number, at)])
                    idle = sum(free <= now for free in self.free_at)
                    if len(self.queue) > self.longest + idle:
                        self.queue.pop(0)
                        self.crowded += 1
            while self.queue and min(self.free_at, default=now + 1) <= now:
                _, number, since = self.queue.pop()
                if now - since > self.patience:
                    self.stale += 1
                    continue
                self.free_at.remove(min(self.free_at))
                self.free_at.append(now + self.case_ms)
                self.seen.append((number, now + self.case_ms))


@given(
    cases=CASES,
    analysts=st.integers(0, 3),
    case_ms=st.integers(1, 12),
    longest=st.integers(0, 6),
    patience=st.integers(0, 30),
    steps=st.lists(st.integers(0, 80), max_size=5),
)
def test_it_does_what_a_plain_simulation_does_however_time_is_cut(
    cases, analysts, case_ms, longest, patience, steps
):
    plain = PlainDesk(analysts, case_ms, longest, patience)
    plain.run(cases, 90)
    desk = AnalystDesk(analysts, case_ms, longest, patience)
    for number, (at, worth) in enumerate(cases):
        desk.add(number, at, worth)
    seen = []
    for now in [*sorted(steps), 90]:
        seen += [(taken.case, taken.done_ms) for taken in desk.advance(now)]
    assert sorted(seen) == sorted(plain.seen)
    assert (desk.crowded_out, desk.gone_stale) == (plain.crowded, plain.stale)
    assert desk.waiting == len(plain.queue)


def test_the_most_valuable_case_goes_first_and_one_of_the_past_counts_as_of_now():
    desk = AnalystDesk(1, 10, 5, 1_000)
    for case, worth in (("small", 1), ("large", 9), ("medium", 5)):
        desk.add(case, 0, worth)
    assert [(s.case, s.done_ms) for s in desk.advance(20)] == [("large", 10), ("medium", 20), ("small", 30)]
    desk.add("late", 3, 1)
    assert [(s.case, s.done_ms) for s in desk.advance(100)] == [("late", 40)]
