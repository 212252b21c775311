"""``gateway record``."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway_core import __version__
from gateway_core.cli.follow import follow, until_stop_option
from gateway_core.cli.options import running_gateway_options
from gateway_core.cli.tail import tail_filter_options

if TYPE_CHECKING:
    from gateway_core.cli.recording import RecordingWriter

HEADERS: Final = ("accept", "accept-encoding", "accept-language", "content-type", "user-agent")
"""Fields that are recorded unless others are named: those that most routes and upstreams decide by."""
_MIB: Final = 1 << 20


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    from gateway_core.config.values import parse_duration  # noqa: PLC0415 - so that help is quick

    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}") from None
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is not longer than 0")
    return seconds


@click.command("record", short_help="Record requests of a running gateway, to replay them.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@running_gateway_options
@click.option("--for", "lifetime", metavar="TIME", callback=_seconds, help="When it ends by itself, such as 1m.")
@click.option(
    "--count",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="Requests after which it ends.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1000, 1 << 40),
    default=16 * _MIB,
    show_default=True,
    help="Size of the file at which it ends.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME",
    help=f"A request header to record, several times for several, in place of {', '.join(HEADERS)}.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@tail_filter_options
@until_stop_option
def command(
    file: Path,
    roots: tuple[str, ...],
    pid: int | None,
    admin: str | None,
    *,
    lifetime: float | None,
    count: int,
    max_bytes: int,
    headers: tuple[str, ...],
    force: bool,
    until_stop: bool,
    **conditions: str,
) -> None:
    """Record the requests of a running gateway, of all its workers, each when it is over, as lines of JSON in FILE,
    which only its owner may read. It goes on until Ctrl-C or a bound, also when the gateway is restarted meanwhile.

    Method, host, path, query and some headers are recorded, with route and status. Bodies, addresses of clients and
    credentials are not: headers such as Authorization and Cookie are refused, and values of query parameters that are
    credentials are hidden, as in access logs. Paths are recorded as they are. Over the network this needs a token with
    the right `tail`.

    Requests whose target is longer than 1,000 characters, and those that became another protocol's, are counted and
    left out. Where requests are missing, FILE has a gap, and the last line counts them.

    Exit status: 0 when it was ended or reached a bound, 2 for wrong usage, 3 if no gateway was found, it refused or is
    gone, or FILE cannot be written. What was recorded until then is kept.
    """
    from gateway_core.cli.control_client import exit_undecided  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.recording import check_replaceable  # noqa: PLC0415
    from gateway_core.cli.tail import query_of  # noqa: PLC0415

    names = ",".join(dict.fromkeys(name.lower() for name in headers or HEADERS))
    query = query_of({**conditions, "headers": names})
    if file.is_symlink() or file.exists():
        if not force:
            raise click.BadParameter(f"{file} is there: name another file, or give --force", param_hint="FILE")
        try:
            check_replaceable(file)
        except OSError as error:
            raise click.BadParameter(f"{file} cannot be replaced: {error}", param_hint="FILE") from None
    recorder = Recorder(file, names.split(","), count, max_bytes, replaces=force)
    try:
        with _alarm(), recorder.closed_at_the_end():
            take = partial(recorder.take, lifetime=lifetime)
            follow((roots, pid, admin), query, take, until_stop=until_stop)
    except _EnoughError as reason:
        click.echo(f"gateway: {reason}", err=True)
    except OSError as error:
        exit_undecided(f"{file} cannot be written: {error.strerror or error}")


class _EnoughError(Exception):
    """A bound is reached; the text names it."""


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _EnoughError("the time is over")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Recorder:
    """Writes what is recorded of events, and counts what is not."""

    def __init__(self, file: Path, headers: list[str], count: int, max_bytes: int, *, replaces: bool) -> None:
        """Make no file yet: it is there once a gateway sends its requests."""
        self._file, self._headers, self._count = file, headers, count
        self._max_bytes, self._replaces = max_bytes, replaces
        self._writer: RecordingWriter | None = None
        self.recorded = 0
        self.left_out = 0
        """Requests that could not be sent again as they were."""
        self.lost = 0
        self.is_lost_known = True

    def take(self, name: str, data: Mapping[str, Any], lifetime: float | None) -> None:
        """Take an event.

        :param lifetime: seconds from the first event on; None for no end.
        :raises RecordingError: the file cannot be made or written.
        """
        from gateway_core.cli.recording import RecordedRequest, RecordingWriter  # noqa: PLC0415 - so that help is quick

        if self._writer is None:
            facts = {"gateway": __version__, "headers": self._headers}
            self._writer = RecordingWriter(self._file, facts, max_bytes=self._max_bytes, replaces=self._replaces)
            if lifetime is not None:
                # Again and again: an exception of a handler is lost where Python runs it in a finalizer.
                signal.setitimer(signal.ITIMER_REAL, lifetime, 0.5)
            click.echo(f"gateway: recording into {self._file}, Ctrl-C ends it", err=True)
        if name == "gap":
            if data["lost"] is None:
                self.is_lost_known = False
            else:
                self.lost += data["lost"]
            self._add("gap", data)
        elif name == "tail":
            request = RecordedRequest.of_event(data)
            if request is None:
                self.left_out += 1
                return
            self._add("request", {"at": data["at"], **request.to_plain()})
            self.recorded += 1
            if self.recorded >= self._count:
                raise _EnoughError(f"{self._count} requests are recorded")

    def _add(self, kind: str, data: Mapping[str, Any]) -> None:
        assert self._writer is not None
        if not self._writer.add(kind, data):
            raise _EnoughError(f"{self._max_bytes} bytes are not enough for more requests")

    @contextmanager
    def closed_at_the_end(self) -> Iterator[None]:
        """Close the file, if there is one, and say what is in it."""
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self._writer is not None:
                self._writer.close()
                click.echo(f"gateway: {self.summary()}", err=True)

    def summary(self) -> str:
        """Return what is recorded, and what is missing."""
        size = 0 if self._writer is None else self._writer.size
        text = f"{self.recorded} requests in {self._file}, {size} bytes"
        if self.left_out:
            text += f"; {self.left_out} left out that cannot be sent again as they were"
        if self.lost or not self.is_lost_known:
            unknown = "" if self.is_lost_known else " and an unknown number more" if self.lost else "an unknown number"
            text += f"; {self.lost or ''}{unknown} lost on the way, see the gaps in it"
        return text
