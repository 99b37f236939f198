"""A pool of processes whose results come in order, and whose deaths are errors."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from fraudsim.errors import FraudsimError


class WorkerPool:
    """Processes that each run one task at a time.

    Not a `ProcessPoolExecutor`: that hangs when a process is killed while it sends a large result. Here each
    process has a pipe of its own, whose end shows that the other side has died.
    """

    def __init__(
        self, workers: int, subject: str = "world", consequence: str = "no history was written"
    ) -> None:
        """`subject` and `consequence` are words of the error if a process dies or fails."""
        self._words = subject, consequence
        context = multiprocessing.get_context("spawn")
        self._processes = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        self._tasks: deque[tuple[int, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._results: dict[int, Any] = {}
        self._count = 0
        for _ in range(workers):
            parent_end, child_end = context.Pipe()
            # A daemon, so that it ends even if an exception interrupts this loop.
            process = context.Process(target=_run_tasks, args=(child_end,), daemon=True)
            process.start()
            child_end.close()
            self._processes.append(process)
            self._idle.append(parent_end)

    def in_order(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], prefetch: int
    ) -> Iterator[Any]:
        """Results in the order of the arguments, which are read at most `prefetch` ahead of the results.

        Raises:
            FraudsimError: a process died or the function raised.
        """
        submitted: deque[int] = deque()
        for task_arguments in arguments:
            submitted.append(self._submit(function, task_arguments))
            if len(submitted) > prefetch:
                yield self._result(submitted.popleft())
        while submitted:
            yield self._result(submitted.popleft())

    def close(self) -> None:
        """End every process, whatever it is running."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for connection in (*self._idle, *self._busy):
            connection.close()

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
        self._count += 1
        self._tasks.append((self._count, function, arguments))
        self._dispatch()
        return self._count

    def _dispatch(self) -> None:
        while self._tasks and self._idle:
            connection = self._idle.pop()
            number, *task = self._tasks.popleft()
            self._busy[connection] = number
            try:
                connection.send(task)
            except OSError:
                raise self._worker_died() from None

    def _result(self, number: int) -> Any:
        while True:
            ready = wait(list(self._busy), 0 if number in self._results else None)
            for connection in self._busy.keys() & ready:
                try:
                    error, result = connection.recv()
                except (EOFError, OSError):
                    raise self._worker_died() from None
                if error:
                    subject, consequence = self._words
                    raise FraudsimError(f"{subject}: a worker failed, {consequence}: {error}")
                self._results[self._busy.pop(connection)] = result
                self._idle.append(connection)
            self._dispatch()
            if number in self._results:
                return self._results.pop(number)

    def _worker_died(self) -> FraudsimError:
        subject, consequence = self._words
        return FraudsimError(
            f"{subject}: a worker process died, {consequence}; "
            "if memory ran out, try again with fewer --workers"
        )


def _run_tasks(connection: Connection) -> None:
    """Run tasks in a worker process until the parent is gone. Only the parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            function, arguments = connection.recv()
            try:
                reply: tuple[str | None, Any] = (None, function(*arguments))
            except Exception as error:
                reply = (f"{type(error).__name__}: {error}".splitlines()[0], None)
            connection.send(reply)
    except (EOFError, OSError):
        return
