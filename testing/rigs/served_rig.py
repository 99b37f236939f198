"""The HTTP rig served by uvicorn, in a process of its own; its fakes forget early, so it can run for long.

python -m testing.rigs.served_rig [setting=value …]     prints its port
"""

import asyncio
import sys
from collections.abc import Sequence

import uvicorn

from fraudsim.log.events import Decision
from scorer.decide import Incoming, PrefetchedState
from scorer.http.protocol import BoundedProtocol
from testing.rigs.http_rig import HttpRig

MAX_STORED_REPLIES = 1_000


class ForgetfulRig(HttpRig):
    """Reads every record back from the log soon, and stores few replies."""

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: str,
        until_s: float,
        prefetched_state: PrefetchedState | None = None,
    ) -> list[Decision]:
        decisions = await super().decide(incoming, via, until_s, prefetched_state)
        self.batch_sizes.clear()
        self.notified_ids.clear()
        while len(self.redis_claims.values) > MAX_STORED_REPLIES:
            del self.redis_claims.values[next(iter(self.redis_claims.values))]
        return decisions

    async def read_back(self) -> None:
        """Read the log for ever."""
        while True:
            await asyncio.sleep(0.005)
            if self.producer.record_count:
                self.read_log(self.producer.record_count - 1)
                self.producer.records.clear()


async def start_server(
    rig: HttpRig, protocol: type[asyncio.Protocol] = BoundedProtocol
) -> tuple[uvicorn.Server, asyncio.Task[None], int]:
    """(server, the task that serves, port)."""
    server = uvicorn.Server(
        uvicorn.Config(rig.api.app, port=0, http=protocol, ws="none", lifespan="off", log_level="critical")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return server, serving, port


async def serve(rig: ForgetfulRig) -> None:
    """Serve for ever."""
    _, serving, port = await start_server(rig)
    print(port, flush=True)
    await asyncio.gather(serving, rig.read_back())


if __name__ == "__main__":
    asyncio.run(serve(ForgetfulRig(**dict(word.split("=", 1) for word in sys.argv[1:]))))
