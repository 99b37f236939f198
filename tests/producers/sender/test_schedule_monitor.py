"""When a sender warns that it cannot keep its schedule."""

from typing import Any

from producers.sender.schedule_monitor import WARN_EVERY_US, ScheduleMonitor

SECOND = 1_000_000


class Log:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.entries.append(("warning", event, fields))

    def info(self, event: str, **fields: Any) -> None:
        self.entries.append(("info", event, fields))


def second(monitor: ScheduleMonitor, number: int, delay_us: int, late: int = 100) -> None:
    """A second in which 100 transactions are sent, `late` of them behind."""
    for n in range(100):
        intended = number * SECOND + n * 10_000
        monitor.add_send(intended, intended + (delay_us if n < late else 0))
    monitor.close_window((number + 1) * SECOND, None)


def test_a_kept_schedule_says_nothing() -> None:
    log = Log()
    monitor = ScheduleMonitor(log)
    monitor.close_window(0, None)
    second(monitor, 0, 29_000)
    second(monitor, 1, 900_000, late=1)  # one in a hundred
    assert (log.entries, monitor.behind_s) == ([], 0)
    assert monitor.delays.counts.total() == 200


def test_being_behind_is_said_at_once_then_every_five_seconds_and_its_end_once() -> None:
    log = Log()
    monitor = ScheduleMonitor(log)
    monitor.close_window(0, None)
    for number in range(12):
        second(monitor, number, 50_000)
    for number in range(12, 15):
        second(monitor, number, 0)
    levels = [level for level, _, _ in log.entries]
    assert levels == ["warning"] * (1 + 11 * SECOND // WARN_EVERY_US) + ["info"]
    assert monitor.behind_s == 12
    _, event, first = log.entries[0]
    assert event == "the schedule is not kept"
    assert (first["achieved_per_s"], first["intended_per_s"], first["delay_p99_ms"]) == (100, 100, 50)
    assert "FRAUDSIM_SENDER=confluent" in first["next_step"]


def test_going_up_and_down_does_not_fill_the_log() -> None:
    log = Log()
    monitor = ScheduleMonitor(log)
    monitor.close_window(0, None)
    for number in range(20):
        second(monitor, number, 50_000 * (number % 2))
    assert 6 <= len(log.entries) <= 8


def test_a_second_in_which_nothing_goes_out_though_due_counts() -> None:
    monitor = ScheduleMonitor(Log())
    monitor.close_window(0, None)
    window = monitor.close_window(SECOND, SECOND + 5_000)
    assert window is not None
    assert window.kept
    window = monitor.close_window(2 * SECOND, SECOND + 5_000)
    assert window is not None
    assert not window.kept
    assert monitor.behind_s == 1


def test_an_earlier_start_is_carried_on() -> None:
    monitor = ScheduleMonitor(Log(), {0: 5}, 2.5)
    monitor.close_window(0, None)
    second(monitor, 0, 40_000)
    assert monitor.delays.counts == {0: 5, 40_000: 100}
    assert monitor.behind_s == 3.5
