"""The process `fraudsim page`."""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn

from dashboards.page.app import PageApp
from dashboards.page.control_desk import ControlDesk
from dashboards.page.log_feed import LogFeed
from dashboards.page.part_metrics import PartMetrics
from dashboards.page.snapshot import Snapshots
from fraudsim.addresses import http_url
from fraudsim.errors import FraudsimError
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings, variable
from runner.stack.ports import free_port, is_port_free
from scorer.http.protocol import BoundedProtocol


class _PageServer(uvicorn.Server):
    """A server that installs no signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def run_page(settings: Settings, log: Any, run: Path | None, *, with_truth: bool) -> None:
    """Serve until a signal.

    Raises:
        FraudsimError: the port is taken.
    """
    import uvloop

    uvloop.run(_serve(settings, log, run, with_truth))


async def _serve(settings: Settings, log: Any, run: Path | None, with_truth: bool) -> None:
    key = settings.page_key.get_secret_value() or secrets.token_urlsafe(24)
    port = settings.page_port or free_port(host=settings.page_host)
    if not is_port_free(port, settings.page_host):
        raise FraudsimError(
            f"{variable('page_port')}={port} is in use on {settings.page_host}: stop what listens there, "
            "or set it to 0 for a free one"
        )
    feed, parts = LogFeed(settings, with_truth), PartMetrics(settings, run)
    token = settings.page_control_token.get_secret_value() or secrets.token_urlsafe(24)
    desk = ControlDesk(settings, feed, token, run) if settings.controls else None
    page = PageApp(settings, key, feed, Snapshots(feed, parts), with_truth, desk)
    server = _PageServer(
        uvicorn.Config(
            page.app,
            host=settings.page_host,
            port=port,
            http=BoundedProtocol,
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,  # streams do not end by themselves
            lifespan="off",
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    freeze_gc()
    address = (
        f"{http_url(settings.page_host, port)}/?key={key}{f'#control={token}' if desk is not None else ''}"
    )
    tasks = [asyncio.create_task(work()) for work in (feed.follow, parts.follow, page.broadcast.run)]
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    log.info("page", address=address, with_truth=with_truth)
    try:
        done, _ = await asyncio.wait([serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        server.should_exit = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not serving.done():
            await serving
