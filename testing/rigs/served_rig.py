"""The HTTP API as uvicorn serves it, in a process of its own, over fakes that keep nothing for long.

python served_rig.py [setting=value …]     prints its port
"""

import asyncio
import sys

import uvicorn

from scorer.http.protocol import BoundedProtocol
from testing.rigs.http_rig import Bench

REMEMBERED = 1_000


class Forgetful(Bench):
    """The log gives back at once; few replies are remembered."""

    async def decide(self, incoming, via, until_s, ahead=None):
        decisions = await super().decide(incoming, via, until_s, ahead)
        self.batches.clear()
        self.gone_out.clear()
        while len(self.kept.values) > REMEMBERED:
            del self.kept.values[next(iter(self.kept.values))]
        return decisions

    async def give_back(self):
        while True:
            await asyncio.sleep(0.005)
            if self.producer.taken:
                self.read_log(self.producer.taken - 1)
                self.producer.records.clear()


async def started(bench, protocol=BoundedProtocol):
    """(server, the task that serves, port)."""
    server = uvicorn.Server(
        uvicorn.Config(bench.api.app, port=0, http=protocol, ws="none", lifespan="off", log_level="critical")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return server, serving, server.servers[0].sockets[0].getsockname()[1]


async def serve(bench):
    _, serving, port = await started(bench)
    print(port, flush=True)
    await asyncio.gather(serving, bench.give_back())


if __name__ == "__main__":
    asyncio.run(serve(Forgetful(**dict(word.split("=", 1) for word in sys.argv[1:]))))
