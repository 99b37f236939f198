"""A real scorer started while Redis is away: it decides without state, and with it once Redis is back."""

import asyncio
import contextlib
import itertools
import json
import threading
import urllib.request
from urllib.parse import urlsplit, urlunsplit

import pytest

from fraudsim.log.events import encoder
from fraudsim.polling import poll_until
from runner.stack.ports import free_port
from stream_features.catalogue.features import NAMES
from testing.rigs.live_scorer import ask, decisions_in_log, live_scorer, log_entries
from testing.samples.small_models import make_models

pytestmark = pytest.mark.stack


class RedisProxy(threading.Thread):
    """A port that forwards to Redis once it is started."""

    def __init__(self):
        super().__init__(daemon=True)
        self.port = free_port()

    def url_through(self, url):
        """Forward to the Redis of `url`; returns the URL through this port."""
        redis = urlsplit(url)
        self.host, self.redis_port = redis.hostname, redis.port
        user = redis.netloc.rpartition("@")[0]
        return urlunsplit(redis._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    def run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        async with await asyncio.start_server(self._forward, "127.0.0.1", self.port) as server:
            await server.serve_forever()

    async def _forward(self, reader, writer):
        redis_reader, redis_writer = await asyncio.open_connection(self.host, self.redis_port)
        await asyncio.gather(self._copy(reader, redis_writer), self._copy(redis_reader, writer))

    async def _copy(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


def test_decisions_are_degraded_until_redis_answers_and_exact_from_then_on(tmp_path):
    (model,) = make_models(tmp_path, 1)
    proxy, numbers = RedisProxy(), itertools.count(1)
    with live_scorer(tmp_path, scorer_redis_url=proxy.url_through, model_dir=model, deadline_ms=1000) as line:

        def score():
            """(transactions sent so far, the decision on the last)."""
            n = next(numbers)
            body = encoder.encode({"tx_id": f"t{n}", "card_id": "c", "amount_cents": 100})
            url = f"http://127.0.0.1:{line.http_port}/v1/score"
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as reply:
                return n, json.load(reply)

        assert {score()[1]["variant"] for _ in range(5)} == {"fallback"}
        assert ask(line, "/readyz")["status"] == "degraded"
        assert len(log_entries(tmp_path, "starting_without_state")) == 1
        proxy.start()
        assert poll_until(lambda: not score()[1]["degraded"], 30)
        sent, last = score()
        assert [last[flag] for flag in ("degraded", "stale", "uncertain")] == [False] * 3
        assert last["features"][NAMES.index("card_count_1h")] == sent
        by_tx_id = {decision.tx_id: decision for decision in decisions_in_log(line, sent)}
        assert by_tx_id.keys() == {f"t{n + 1}" for n in range(sent)}
