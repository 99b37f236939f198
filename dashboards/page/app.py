"""The routes of the page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from dashboards.page.broadcast import CLIENTS, Broadcast, TooManyClientsError
from dashboards.page.control_desk import HEADER, MAX_BODY_BYTES, ControlDesk, RefusedError
from dashboards.page.document import STATIC, render
from dashboards.page.guard import PageGuard
from dashboards.page.log_feed import LogFeed
from dashboards.page.snapshot import Snapshots
from fraudsim.settings import Settings, variable
from producers.controls.controls import describe
from scorer.http.gate import HttpGate

FORGOTTEN: Final = "this decision is not kept any more: the page keeps the latest few thousand"


class PageApp:
    """What the page answers to a browser."""

    def __init__(
        self,
        settings: Settings,
        key: str,
        feed: LogFeed,
        snapshots: Snapshots,
        with_truth: bool,
        desk: ControlDesk | None = None,
    ) -> None:
        """
        Args:
            with_truth: whether a reader may see the truth.
            desk: takes controls; without one the page only reads.
        """
        self._desk = desk
        self._feed, self._snapshots, self._with_truth = feed, snapshots, with_truth
        self._template = (STATIC / "index.html").read_text()
        self.broadcast = Broadcast(snapshots.snapshot, snapshots.series, snapshots.observe)
        routes = [
            Route("/", self._page),
            Route("/events", self._events),
            Route("/decisions/{tx_id}", self._decision),
            Route("/healthz", self._health),
            *([Route("/controls", self._controls, methods=["GET", "POST"])] if desk is not None else []),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        app = Starlette(routes=routes)
        self.app: ASGIApp = HttpGate(
            PageGuard(app, key),
            token="",
            hosts=[*settings.page_hosts.split(","), settings.page_host],
            hosts_setting=variable("page_hosts"),
        )

    def _shows_truth(self, request: Request) -> bool:
        return self._with_truth and request.query_params.get("truth", "on") != "off"

    async def _page(self, request: Request) -> Response:
        truth = self._shows_truth(request)
        figures, boxes = self._snapshots.figures(truth), dict(self._snapshots.boxes())
        return HTMLResponse(
            render(
                self._template,
                figures,
                boxes,
                self._feed.problem,
                truth=truth,
                may=self._with_truth,
                controls=self._desk is not None,
            )
        )

    async def _events(self, request: Request) -> Response:
        stack = AsyncExitStack()
        try:
            messages = await stack.enter_async_context(self.broadcast.stream(self._shows_truth(request)))
        except TooManyClientsError:
            return PlainTextResponse(f"{CLIENTS} browsers read the page already", 503)

        async def body() -> AsyncIterator[bytes]:
            async with stack:
                yield b"retry: 1000\n\n"
                async for message in messages:
                    yield message

        return StreamingResponse(body(), media_type="text/event-stream")

    async def _decision(self, request: Request) -> Response:
        content = self._snapshots.decision(request.path_params["tx_id"], self._shows_truth(request))
        return PlainTextResponse(FORGOTTEN, 404) if content is None else JSONResponse(content)

    async def _controls(self, request: Request) -> Response:
        assert self._desk is not None
        if request.method != "POST":
            return JSONResponse(await asyncio.to_thread(self._desk.offer))
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("a control is application/json", 415)
        try:
            control = await self._desk.take(request.headers.get(HEADER, ""), await _body(request))
        except RefusedError as refused:
            return PlainTextResponse(refused.text, refused.status)
        return JSONResponse({"control_id": control.control_id, "text": describe(control)}, 202)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(413, f"a control has at most {MAX_BODY_BYTES} bytes")
    return body
