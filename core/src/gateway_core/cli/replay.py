"""``gateway replay``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from gateway_core.cli.options import PROBLEMS, UNDECIDABLE, complete_path, echo, json_option, print_json
from gateway_core.errors import GatewayError

if TYPE_CHECKING:
    from gateway_core.cli.comparison import Comparison
    from gateway_core.cli.recording import RecordedRequest, RecordingReader
    from gateway_core.cli.replay_gateway import Compared, Target

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that are sent without ``--unsafe`` (RFC 9110 section 9.2.1)."""
HEADERS: Final = (
    "allow", "cache-control", "content-encoding", "content-type", "location", "vary", "www-authenticate",
)  # fmt: skip
"""Response headers that are compared unless others are named."""


def _side(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    from gateway_core.cli.replay_gateway import is_url  # noqa: PLC0415 - so that help is quick
    from gateway_core.config.sources import parse_root  # noqa: PLC0415

    try:
        if not is_url(value):
            parse_root(value)
            return value
        parts = urlsplit(value)
        is_origin = parts.hostname and parts.path in {"", "/"} and not parts.query and parts.username is None
        if not is_origin or (parts.port is not None and not parts.port):
            raise ValueError("is no URL of a gateway: write http://127.0.0.1:8080")
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}") from None
    return value


@click.command("replay", short_help="Send recorded requests to two configurations, and compare.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--old",
    required=True,
    metavar="CONFIG|URL",
    callback=_side,
    shell_complete=complete_path,
    help="What is compared with.",
)
@click.option(
    "--new", required=True, metavar="CONFIG|URL", callback=_side, shell_complete=complete_path, help="What is compared."
)
@click.option("--unsafe", is_flag=True, help="Send POST, PUT, DELETE and others as well, without a body.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME",
    help=f"A response header to compare, several times for several, in place of {', '.join(HEADERS)}.",
)
@click.option("--ignore-body", is_flag=True, help="Do not compare bodies.")
@click.option(
    "--listener",
    metavar="NAME",
    help="Listener of a CONFIG that requests come in at; the first that does not redirect to HTTPS unless given.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Headers to send with every request, such as Authorization: Bearer TOKEN, one a line.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 100),
    default=4,
    show_default=True,
    help="Requests that are in flight to each at the same time.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    help="Seconds that a response may take.",
)
@json_option
def command(
    file: Path,
    old: str,
    new: str,
    *,
    unsafe: bool,
    headers: tuple[str, ...],
    ignore_body: bool,
    listener: str | None,
    credentials: Path | None,
    concurrency: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Send each request of FILE, which `gateway record` wrote, to two gateways, and show by route where their responses
    differ: in status, some headers and the body, and for configurations in the route and upstream that were chosen.

    A CONFIG (a file, directory or source) is served by a process of its own on a free port, in place of its listeners:
    plain HTTP, without admin listener and traces, with its routes, plugins and upstreams as they are. It ends with the
    command. A URL is a gateway that runs.

    Only GET, HEAD and OPTIONS are sent: upstreams get each request twice. Redirects are not followed. Requests have no
    credentials, as recordings have none, unless --credentials names a file with some, which both sides get. What
    differs each time by nature, such as a body with the time, differs here as well: --ignore-body, or --header with the
    names that matter, leave it out.

    Exit status: 0 if all are the same, 1 if some differ, 2 for wrong usage, or a FILE that is no recording, 3 if
    nothing differs but something could not be decided: a CONFIG cannot be served, a gateway is gone, a response did not
    come, or it was interrupted.
    """
    from gateway_core.cli.layout import printable  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.recording import RecordingError, RecordingReader  # noqa: PLC0415
    from gateway_core.cli.replay_gateway import Compared  # noqa: PLC0415

    compared = Compared(tuple(dict.fromkeys(name.lower() for name in headers or HEADERS)), not ignore_body, timeout)
    fields = _fields_of(credentials, old, new)
    try:
        with RecordingReader(file) as requests:
            for _ in requests:  # looked at as a whole before anything is sent
                pass
            replay = _Replay(requests, (old, new), compared, unsafe, listener, concurrency, fields)
            comparison = asyncio.run(replay.run())
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    except GatewayError as error:
        click.echo(f"gateway: {error}", err=True)
        raise click.exceptions.Exit(UNDECIDABLE) from None
    if as_json:
        print_json(comparison.to_plain())
    else:
        for line in comparison.lines():
            echo(printable(line))
    if comparison.different:
        raise click.exceptions.Exit(PROBLEMS)
    if not comparison.is_decided:
        raise click.exceptions.Exit(UNDECIDABLE)


def _fields_of(credentials: Path | None, *sides: str) -> Mapping[str, str]:
    """Return what is sent with each request.

    :raises click.UsageError: the file cannot be used, or a side is no place for what is in it.
    """
    from gateway_core.cli.replay_credentials import check_confidential, read_credentials  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.replay_gateway import is_url  # noqa: PLC0415

    if credentials is None:
        return {}
    try:
        for side in filter(is_url, sides):
            check_confidential(side)
        return read_credentials(credentials)
    except GatewayError as error:
        raise click.UsageError(str(error)) from None


@dataclass
class _Replay:
    """One run: workers take requests from the recording and send them to both."""

    requests: RecordingReader
    sides: tuple[str, str]
    compared: Compared
    has_unsafe: bool
    listener: str | None
    concurrency: int
    credentials: Mapping[str, str]

    async def run(self) -> Comparison:
        """Send the requests until all are sent, a gateway is gone, or a signal comes.

        :raises GatewayError: a configuration cannot be served.
        """
        from gateway_core.cli.comparison import Comparison  # noqa: PLC0415 - so that help is quick
        from gateway_core.tasks import spawn  # noqa: PLC0415

        comparison, loop = Comparison(), asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        remaining = self._to_send(comparison)
        failures: list[BaseException] = []
        sending = spawn(self._send_all(remaining, comparison), name="replay", on_error=failures.append)
        stopping = spawn(stop.wait(), name="stop of the replay")
        await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            click.echo("gateway: interrupted", err=True)
        sending.cancel()
        stopping.cancel()
        await asyncio.wait({sending})
        if failures:
            raise failures[0]
        comparison.unsent += sum(1 for _ in remaining)
        return comparison

    def _to_send(self, comparison: Comparison) -> Iterator[RecordedRequest]:
        for request in self.requests:
            if self.has_unsafe or request.method in SAFE_METHODS:
                yield request
            else:
                comparison.left_out[request.method] += 1

    async def _send_all(self, requests: Iterator[RecordedRequest], comparison: Comparison) -> None:
        from gateway_core.cli.replay_gateway import open_target  # noqa: PLC0415 - so that help is quick

        old, new = self.sides
        async with AsyncExitStack() as stack:
            targets = [
                await stack.enter_async_context(
                    open_target(name, text, self.listener, self.concurrency, self.credentials)
                )
                for name, text in (("old", old), ("new", new))
            ]
            await asyncio.gather(*(self._send_some(requests, targets, comparison) for _ in range(self.concurrency)))
            for name, target in zip(("old", "new"), targets, strict=True):
                if target.gone.is_set():
                    click.echo(f"gateway: the {name} gateway is gone", err=True)

    async def _send_some(
        self, requests: Iterator[RecordedRequest], targets: list[Target], comparison: Comparison
    ) -> None:
        while not any(target.gone.is_set() for target in targets):
            request = next(requests, None)
            if request is None:
                return
            comparison.unsent += 1  # as long as it is in flight: the command may be interrupted
            old, new = await asyncio.gather(*(target.send(request, self.compared) for target in targets))
            comparison.unsent -= 1
            comparison.add(request, old, new)
