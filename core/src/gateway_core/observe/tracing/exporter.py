"""Sends spans to a collector, in batches, from one task of the event loop.

The path of a request appends to a queue, and never waits: what is too much is dropped and counted. The task writes a
batch in a thread, sends it, and sends it again after a growing delay, or the one that the collector asks for, while
others wait in the queue. A batch that the collector has not taken in time (`GIVE_UP`) is dropped, so that the queue
goes on with newer ones. At the end what is left is sent at once.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import Random
from typing import TYPE_CHECKING, Final

from gateway_core.backoff import Backoff
from gateway_core.clock import Clock
from gateway_core.config import SecretUrl
from gateway_core.events import TRACING_EXPORT_FAILED, Repeats, emit, repeated
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import TRACE_EXPORT_FAILURES, TRACE_SPANS, TRACE_SPANS_LOST
from gateway_core.observe.tracing.otlp import Encoding
from gateway_core.observe.tracing.semantics import KNOWN_METHODS, spans_of
from gateway_core.observe.tracing.spans import SpanSource
from gateway_core.tasks import Tasks

if TYPE_CHECKING:
    import aiohttp

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a batch is sent again (OTLP specification 1.7, "Retryable Response Codes")."""
GIVE_UP: Final = 300.0
"""Seconds for which one batch is sent again and again, unless a variable says otherwise."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of heads that may wait: spans refer to parts of them, which take up to three times as much."""
LAST_WORD: Final = 5.0
"""Seconds for what is left when the exporter ends, unless its owner has less."""
_MOST_RESPONSE: Final = 64 * 1024
_MOST_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """Where spans go, and how many may wait; exporters with equal settings are one."""

    url: str = field(repr=False)
    protocol: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    compress: bool
    timeout: float
    """Seconds of one request."""
    ca: str
    cert: str
    key: str
    resource: tuple[tuple[str, str], ...]
    max_spans: int
    batch_spans: int
    delay: float
    """Seconds that spans wait for others."""
    known_methods: frozenset[str] = KNOWN_METHODS
    give_up: float = GIVE_UP
    """Seconds for which one batch is sent again and again."""
    longest: int | None = None
    """Characters of a text; None leaves the longest that backends take."""


class NotTakenError(Exception):
    """The collector did not take a batch, and may take it later."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds that it asks for."""


class RejectedError(Exception):
    """The collector will never take a batch."""


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, `GIVE_UP` at most (RFC 9110 section 10.2.3).

    :param now: seconds since the Unix epoch.
    """
    value = (value or "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), GIVE_UP)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - now), GIVE_UP)
    except (ValueError, OverflowError):
        return None


class Exporter:
    """A bounded queue, and the task that empties it (a `SpanSink`)."""

    def __init__(
        self,
        settings: ExporterSettings,
        encoding: Encoding,
        clock: Clock,
        metrics: Metrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Send nothing before `start`.

        :param tls: how the collector is trusted; None for the usual way.
        """
        self._settings = settings
        self._encoding = encoding
        self._clock = clock
        self._metrics = metrics
        self._tls = tls
        self._queue: deque[SpanSource] = deque()
        self._queued = self._queued_bytes = 0  # of what is in the queue
        self._most, self._batch_spans = settings.max_spans, settings.batch_spans
        self.waiting = 0
        """Spans that are not settled, those on their way included."""
        self._some, self._enough, self._settled, self._hurry = [asyncio.Event() for _ in range(4)]
        self._is_hurried = self._is_closed = False
        self._tasks = Tasks()
        self._session: aiohttp.ClientSession | None = None
        self._rng = Random()  # noqa: S311 - spreads attempts, keeps no secret
        self._repeats = Repeats()
        self.last_word: Callable[[], float] = lambda: LAST_WORD
        """Returns the seconds for what is left at the end."""

    def start(self) -> None:
        """Begin to send."""
        self._tasks.supervise(self._run, name="export of spans")

    def put(self, source: SpanSource) -> None:
        """Take spans, or drop and count them where there is no room."""
        count = source.span_count
        waiting, queued, held = self.waiting + count, self._queued + count, self._queued_bytes + source.held
        if waiting > self._most or held > MOST_BYTES:
            self._lose(count, "stop" if self._is_closed else "overflow")
            return
        self._queue.append(source)
        self.waiting, self._queued, self._queued_bytes = waiting, queued, held
        if queued == count:
            self._some.set()
        if queued >= self._batch_spans:
            self._enough.set()

    def lose(self, count: int) -> None:
        """Count spans that were too many for one request."""
        self._lose(count, "too-many")

    async def aclose(self) -> None:
        """Send what is left at once; what is not taken in time is lost."""
        self._is_hurried = True
        self._enough.set()
        self._hurry.set()
        try:
            async with asyncio.timeout(self.last_word()):
                while self.waiting:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            self._report("the collector did not take them before the end", self.waiting)
            self._lose(self.waiting, "stop")
        self._is_closed, self._most = True, -1
        await self._tasks.aclose()
        self._queue.clear()
        self.waiting = self._queued = self._queued_bytes = 0
        if self._session is not None:
            await self._session.close()

    def _lose(self, count: int, reason: str) -> None:
        self._metrics.count(TRACE_SPANS_LOST, reason, by=count)

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            if not self._is_hurried and not self._enough.is_set():
                try:
                    async with asyncio.timeout(self._settings.delay):
                        await self._enough.wait()
                except TimeoutError:
                    pass
            sources, count = self._take()
            try:
                await self._export(sources, count)
            except Exception as error:
                self._lose(count, "rejected")
                self._report(f"the spans cannot be written: {error!r}", count)
                raise
            finally:
                self.waiting -= count
                self._settled.set()

    def _take(self) -> tuple[list[SpanSource], int]:
        """Return what comes next, and the number of its spans: as much as fits into one request, and at least one."""
        taken, count, held, queue, most = list[SpanSource](), 0, 0, self._queue, self._batch_spans
        while queue and (not taken or count + queue[0].span_count <= most):
            source = queue.popleft()
            taken.append(source)
            count += source.span_count
            held += source.held
        self._queued -= count
        self._queued_bytes -= held
        if not queue:
            self._some.clear()
        if self._queued < most and not self._is_hurried:
            self._enough.clear()
        return taken, count

    async def _export(self, sources: list[SpanSource], count: int) -> None:
        """Send spans until they are taken, refused or too old.

        :param sources: which are not needed, and removed, once they are written.
        """
        offset = self._clock.wall() - self._clock.monotonic()
        # In a thread: it takes some fifteen microseconds a span.
        body = await asyncio.to_thread(self._write, sources, offset)
        backoff, began = Backoff(self._rng, first=1.0, longest=30.0), self._clock.monotonic()
        while True:
            try:
                refused, why = await self._send(body)
            except RejectedError as error:
                self._metrics.count(TRACE_EXPORT_FAILURES)
                self._lose(count, "rejected")
                self._report(str(error), count)
                return
            except NotTakenError as error:
                self._metrics.count(TRACE_EXPORT_FAILURES)
                delay = backoff.next_delay(error.retry_after or 0.0)
                if self._is_hurried:
                    delay = min(delay, 0.5)
                if self._clock.monotonic() - began + delay > self._settings.give_up:
                    self._lose(count, "gave-up")
                    self._report(str(error), count)
                    if error.retry_after:  # the next batch is not to come sooner than that
                        await self._pause(delay)
                    return
                self._report(str(error), 0)
                await self._pause(delay)
            else:
                lost = min(refused, count)
                self._metrics.count(TRACE_SPANS, by=count - lost)
                if lost or why:
                    self._lose(lost, "rejected")
                    self._report(f"partial success: {why[:_MOST_REASON]}", lost)
                return

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for long once the exporter is to end."""
        if self._is_hurried:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _write(self, sources: list[SpanSource], offset: float) -> bytes:
        """Return the body of a request with spans, and free them here: it may be sent for minutes."""
        known, longest = self._settings.known_methods, self._settings.longest
        # One request's spans after the other, as those of all would take more memory than the processor's cache has.
        body = self._encoding.write(span for each in sources for span in spans_of(each.batch(), offset, known, longest))
        sources.clear()
        return gzip.compress(body, compresslevel=4, mtime=0) if self._settings.compress else body

    async def _send(self, body: bytes) -> tuple[int, str]:
        """Send one request.

        :returns: how many spans the collector refused, and why.
        """
        import aiohttp  # noqa: PLC0415  # a process that exports nothing does without its memory
        from yarl import URL  # noqa: PLC0415  # likewise

        try:
            request = self._open().post(URL(self._settings.url, encoded=True), data=body, allow_redirects=False)
            async with request as response:
                status, after = response.status, response.headers.get("retry-after")
                content = bytearray()
                async for part in response.content.iter_any():
                    content += part
                    if len(content) > _MOST_RESPONSE:
                        break
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # aiohttp names the URL in some of its errors, with the password.
            raise NotTakenError(str(SecretUrl(f"{type(error).__name__}: {error}"))[:_MOST_REASON]) from None
        if status in RETRYABLE:
            raise NotTakenError(f"status {status}", retry_after(after, self._clock.wall()))
        if not 200 <= status < 300:
            raise RejectedError(f"status {status}")
        return self._encoding.read_refusal(bytes(content))

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp  # noqa: PLC0415  # as above

        if self._session is None:
            settings = self._settings
            headers = {"User-Agent": "gateway", **dict(settings.headers), "Content-Type": self._encoding.content_type}
            if settings.compress:
                headers["Content-Encoding"] = "gzip"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=settings.timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=headers,
            )
        return self._session

    def _report(self, reason: str, lost: int) -> None:
        """Have the log say it, once in ten seconds for each reason."""
        number = self._repeats.count(reason, self._clock.monotonic())
        if number:
            what = f"{lost} spans are lost" if lost else "spans are sent again"
            text = f"spans were not exported: {reason}; {what}{repeated(number)}"
            emit(TRACING_EXPORT_FAILED, text, reason=reason, lost=lost, count=number)


def resource_of(name: str, given: Mapping[str, str], defaults: Mapping[str, str], version: str) -> dict[str, str]:
    """Return the attributes of the resource.

    :param defaults: of the environment; what the configuration gives comes before them.
    """
    found = {**defaults, **given, "service.name": name}
    found.setdefault("service.version", version)
    found |= {
        "telemetry.sdk.name": "gateway", "telemetry.sdk.language": "python", "telemetry.sdk.version": version,
    }  # fmt: skip
    return found
