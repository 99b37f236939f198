"""Records added while others are sent: the sequence is the one that has had them from the beginning."""

import threading
from collections import Counter
from heapq import merge
from operator import itemgetter
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.log.events import Transaction
from fraudsim.log.topics import LABELS, TRANSACTIONS
from producers.sender.ordinals import LoggedOrdinals
from producers.sources.prefetch import Prefetch
from producers.sources.record_queue import MissingRecords, RecordQueue
from producers.sources.source import Item

TOPICS = (TRANSACTIONS, LABELS)
END_MS = 1000
NEVER = threading.Event()


def item(due_ms, topic, name):
    return Item(due_ms, topic, "c", Transaction(tx_id=name, ts=due_ms, card_id="c", amount_cents=1))


def records(prefix):
    parts = st.tuples(st.integers(0, 60), st.sampled_from(TOPICS))
    return st.lists(parts, max_size=25).map(
        lambda found: [item(due, topic, f"{prefix}{n}") for n, (due, topic) in enumerate(sorted(found))]
    )


def numbered(items):
    ordinals = Counter()
    for each in items:
        yield each, ordinals[each.topic]
        ordinals[each.topic] += 1


class Sending:
    """A sender's loop: each start reads the log's ordinals, and adds one attack at a time."""

    def __init__(self, main):
        self.main, self.attacks, self.log = main, [], []

    def logged(self, topic):
        held = {ordinal for sent, ordinal in self.log if sent.topic == topic}
        maximum = max(held, default=-1)
        return LoggedOrdinals(maximum, frozenset(set(range(maximum)) - held))

    def start(self, attacks, count, lose=0):
        """Send `count` records, and lose some of the last, as a kill does; attacks wait for their turn."""
        logged = {topic: self.logged(topic) for topic in TOPICS}
        source = SimpleNamespace(items=lambda: merge(self.main, *self.attacks, key=itemgetter(0)))
        missing = MissingRecords(source, logged, END_MS)
        waiting = list(attacks)
        with Prefetch(missing.items()) as items:
            queue = RecordQueue(items, logged, END_MS)
            items.fill(NEVER)
            while (head := queue.head(NEVER)) is not None and count:
                last_ms = max([sent.due_ms for sent, _ in self.log], default=0)
                if waiting and missing.logged_to_ms is not None:
                    place_ms = max(last_ms, missing.logged_to_ms)
                    placed = [each._replace(due_ms=each.due_ms + place_ms) for each in waiting.pop(0)]
                    self.attacks.append(placed)
                    queue.add(placed)
                    continue
                self.log.append(head)
                queue.advance()
                count -= 1
        if lose:
            del self.log[-lose::2]


@settings(deadline=None)
@given(
    records("m"), st.lists(records("a"), max_size=3), st.lists(records("b"), max_size=3),
    st.integers(0, 40), st.integers(0, 5),
)  # fmt: skip
def test_whatever_is_added_when_and_whoever_is_killed(main, first, second, count, lose):
    sending = Sending(main)
    sending.start(first, count, lose)
    sending.start(second, -1)
    whole = list(numbered(merge(main, *sending.attacks, key=itemgetter(0))))
    key = lambda entry: (entry[0].topic, entry[1])  # noqa: E731
    assert sorted(sending.log, key=key) == sorted(whole, key=key)
    if not lose:
        assert sending.log == whole


def test_what_is_added_beyond_the_end_is_left_out():
    with Prefetch(iter([])) as items:
        queue = RecordQueue(items, {}, END_MS)
        queue.add([item(END_MS - 1, LABELS, "in"), item(END_MS, LABELS, "out")])
        assert queue.head(NEVER)[0].event.tx_id == "in"
        queue.advance()
        assert queue.head(NEVER) is None
