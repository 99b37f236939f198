"""A server under `fraudsim bench http`: started, checked against the model, and ready for load."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.log.events import encoder
from fraudsim.polling import poll_until
from load_tests.benches.http.contestants import ROOT, HttpContestant
from load_tests.benches.http.requests import BenchWorld, score_in
from load_tests.rig.cores import Cores, pinned
from load_tests.rig.open_loop import LoadGenerator
from load_tests.rivals.scoring_setup import VARIABLE, RivalSetup, open_reader
from model.forest.forest import Matrix
from runner.supervise.supervisor import Part, Supervisor
from stream_features.store.connection import RedisClient

CONNECTIONS: Final = 128
DEGRADED: Final = b'"degraded":true'
"""In a reply of ours that was decided without state for want of time: it does not count."""
CHECKED: Final = 50
"""Answers of each server that are compared with the model."""
TRIES: Final = 10
"""Most requests for one check, as a busy machine degrades answers."""
TOLERANCE: Final = 1e-6
READY_S: Final = 180.0


class RequestNumbers:
    """Numbers for requests, each given out once."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def reserve(self, count: float) -> int:
        """Reserve `count` numbers. Returns the first."""
        first = self._next
        self._next += int(count) + 1
        return first


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    contestant: HttpContestant
    pid: int
    setup: RivalSetup
    generator: LoadGenerator
    make: Callable[[int], bytes]
    """From a request's number to the request."""
    first_answer_s: float
    numbers: RequestNumbers
    """Of the requests to this server."""


def start_server(
    contestant: HttpContestant,
    setup: RivalSetup,
    make: Callable[[int], bytes],
    folder: Path,
    cores: Cores,
    supervisor: Supervisor,
) -> RunningServer:
    """Start a server on its core and wait for its first answer.

    Raises:
        FraudsimError: it ends, or does not answer within `READY_S`.
    """
    own_folder = folder / f"{contestant.name}-{contestant.table}"
    own_folder.mkdir()
    (own_folder / "setup.json").write_bytes(encoder.encode(setup))
    env = {
        **os.environ, VARIABLE: str(own_folder / "setup.json"), "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1", "BENTOML_HOME": str(own_folder), "BENTOML_DO_NOT_TRACK": "True",
    }  # fmt: skip
    argv = [str(contestant.python), *contestant.command(own_folder, setup)]
    started_s = time.perf_counter()
    with pinned(cores.server):
        pid = supervisor.start(Part(contestant.name, argv, env, restart=False))

    def answers() -> bool:
        if supervisor.pid(contestant.name) is None:
            raise FraudsimError(f"bench: {_no_answer(contestant, supervisor)}")
        try:
            probe = LoadGenerator("127.0.0.1", setup.port, 1)
        except FraudsimError:
            return False
        try:
            status, _ = probe.ask(make(0))
        except OSError:
            return False
        finally:
            probe.close()
        return status == 200

    if not poll_until(answers, READY_S):
        raise FraudsimError(f"bench: {_no_answer(contestant, supervisor)}")
    first_answer_s = time.perf_counter() - started_s
    generator = LoadGenerator("127.0.0.1", setup.port, CONNECTIONS, DEGRADED)
    return RunningServer(contestant, pid, setup, generator, make, first_answer_s, RequestNumbers(1))


def _no_answer(contestant: HttpContestant, supervisor: Supervisor) -> str:
    lines = " | ".join(supervisor.last_output(contestant.name))
    return f"{contestant.name} ({contestant.table}) does not answer {contestant.path}: {lines}"


def features_of(world: BenchWorld, redis_url: str) -> Matrix:
    """Features of the world's probes, read from Redis; float32 (n, SIZE)."""

    async def read() -> Matrix:
        link = RedisClient.with_long_timeouts(redis_url)
        try:
            readings = await open_reader(link, world.segment).read(world.probes)
        finally:
            await link.close()
        return np.stack([reading.features for reading in readings])

    return asyncio.run(read())


def check_scores(server: RunningServer, scores: Matrix) -> None:
    """Compare `CHECKED` answers with the model's scores of the requests' inputs.

    Raises:
        InvariantError: an answer differs.
    """
    for _ in range(CHECKED):
        for _ in range(TRIES):
            number = server.numbers.reserve(1)
            status, body = server.generator.ask(server.make(number))
            if DEGRADED not in body:
                break
        expected = float(scores[number % len(scores)])
        if status != 200 or not abs(score_in(body) - expected) <= TOLERANCE:
            raise InvariantError(
                f"bench: {server.contestant.name} ({server.contestant.table}): {status} {body[:200]!r}, "
                f"the model's score is {expected!r}"
            )
