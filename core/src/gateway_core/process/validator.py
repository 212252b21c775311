"""The validator, which comes to a verdict on each configuration: its role, and the process as the gateway sees it.

It has imported the gateway and no plugin, and is there before it is needed, as an interpreter takes a second to start.
It does each job in a child of its own (so it has no threads). A job takes no second to begin, and still sees the
plugins that are installed when it comes: what a child imported ends with it. A job says which plugin it is about to
import, and when it has, for when it does not come to an end, and sends its verdict over the channel itself (messages
``note``, ``done``, ``part`` and ``verdict``). How it ended is sent by the validator as the reply to the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway_core.config import ConfigError, Document, LoadedConfig
from gateway_core.config.models.base import do_without_descriptions
from gateway_core.config.sources import WatchSet
from gateway_core.packages import PluginRegistry, Published
from gateway_core.packages.environment import SITES, Stamp, environment_stamp
from gateway_core.packages.installed import RememberedPlugins, with_broken_distributions
from gateway_core.packages.lock_file import LOCK_VARIABLE, is_locked
from gateway_core.packages.locking import check_lock
from gateway_core.process.certificates import files_of
from gateway_core.process.channel import REPLY, BlockingChannel, ChannelClosedError, Message, parts
from gateway_core.process.child import VALIDATOR, Child, Forked, scratch_file
from gateway_core.process.log_writer import stop_all
from gateway_core.process.patience import Waited
from gateway_core.process.plugin_guard import HANDLED
from gateway_core.reload.bundle import (
    ConfigBundle,
    ValidationFailedError,
    ValidationHungError,
    Verdict,
    read_job,
    read_verdict,
    verdict_fields,
    write_job,
)
from gateway_core.snapshot import load
from gateway_core.tasks import spawn

WRITE_TIME: Final = 0.5
"""Seconds that a reload waits for a file that is cut off: an editor or a copy may still be writing it."""

VALIDATION_TIMEOUT: Final = 120.0
IMPORT_TIMEOUT: Final = 45.0
"""Seconds that a validation may take to import one plugin."""

GIVEN_UP_AFTER: Final = 5.0
"""Seconds of one import after which a validation is given up for what changed meanwhile: it may be what mends it."""
_MOST_GIVEN_UP: Final = 3
"""Times in a row that one is given up, as a plugin may take long to import while files change all the time."""
_LOOK_EVERY: Final = 0.5
IDLE_TIME: Final = 10.0
"""Seconds without a job until it prepares for changes, if no second job comes: behind a start requests need the CPU."""

_MOST_TEXT: Final = 16_384
_MOST_SHOWN: Final = 2000
"""Characters of what a job printed, in an error."""


# -- the validator

_NEEDED_FOR_BINDINGS: Final = (
    "gateway_core.packages.loading",
    "gateway_core.packages.patterns",
    "gateway_core.packages.schemas",
    "gateway_core.snapshot.bindings",
    "gateway_core.snapshot.protection",
    "gateway_core.snapshot.redirects",
    "importlib_metadata._adapters",
    "jsonschema",
    "prometheus_client",
)
"""Modules that a validation needs once there are bindings or redirects, and takes longer to import than the rest."""

_plugins: Final = RememberedPlugins()
"""What is installed, read while there is no job; each job sees whether it has changed since."""


def serve(channel: BlockingChannel) -> None:
    """Do one job after the other until the gateway closes the channel. Needs a process with one thread."""
    if not is_locked():  # a lock file has the digests of whole schemas
        do_without_descriptions()
    warm_up()
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    next_job = select.poll()
    next_job.register(channel.sock, select.POLLIN)
    with contextlib.suppress(ChannelClosedError):
        if next_job.poll(IDLE_TIME * 1000):
            _do(channel, channel.receive())
            next_job.poll(IDLE_TIME * 1000)  # what was validated is to be started meanwhile
        _warm_up_for_changes()
        gc.freeze()
        while True:
            _do(channel, channel.receive())


def warm_up() -> None:
    """Import everything that a validation needs, short of plugins: those must be the ones of when there is a job."""
    nothing_installed = PluginRegistry(find=dict)
    load(
        (), registry=nothing_installed, environ={}, documents=[Document("", "routes: [{path: /, target: 'http://x'}]")]
    )


def _warm_up_for_changes() -> None:
    """Import and compute what only bindings and problems need.

    With the packages that jsonschema looks for, its import alone can take a second.
    """
    for module in _NEEDED_FOR_BINDINGS:
        importlib.import_module(module)
    with contextlib.suppress(OSError):  # each job looks for itself then
        _plugins.find()
    with contextlib.suppress(ConfigError):
        load((), registry=PluginRegistry(find=dict), environ={}, documents=[Document("", "routes: [{}]")])


def _do(channel: BlockingChannel, job: Message) -> None:
    with scratch_file() as printed:
        pid = os.fork()
        if pid == 0:
            _work(channel, job, printed.fileno())
        _, status = os.waitpid(_wait(channel, pid), 0)
        printed.seek(0)
        text = printed.read()[-_MOST_TEXT:].decode(errors="replace")
    channel.send(REPLY, call=job["call"], status=os.waitstatus_to_exitcode(status), printed=text)


def _wait(channel: BlockingChannel, pid: int) -> int:
    """Wait for the end of a job; if the gateway ends first, no other process would end a job that hangs."""
    if hasattr(os, "pidfd_open"):
        ended = os.pidfd_open(pid)
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.register(channel.sock, select.POLLHUP)
        if all(descriptor != ended for descriptor, _ in waiting.poll()):
            os.kill(pid, signal.SIGKILL)
        os.close(ended)
    return pid


def _work(channel: BlockingChannel, job: Message, printed: int) -> NoReturn:
    """Do a job in this child and end."""
    status = 1
    try:
        # What plugins print while they are imported belongs to the verdict, and not into the gateway's own output.
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        importlib.invalidate_caches()
        # Blocked when the program began; what a plugin starts would not end by SIGTERM.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        asyncio.set_event_loop(None)  # as in the thread in which a gateway imports plugins, for those that look for one
        send_verdict(
            channel, judge(*read_job(job.body), PluginRegistry(_plugins.find, while_loading=partial(_noted, channel)))
        )
        sys.stdout.flush()
        status = 0
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        stop_all()
        os._exit(status)


@contextlib.contextmanager
def _noted(channel: BlockingChannel, published: Published) -> Iterator[None]:
    about = f"importing plugin {published.name!r} of {published.distribution} {published.version}"
    channel.send("note", about=about)
    try:
        yield
    finally:
        channel.send("done", about=about)


def send_verdict(channel: BlockingChannel, verdict: Verdict) -> None:
    """Send the lines of a verdict's bundle in parts, then the rest of it."""
    for part in parts(() if verdict.bundle is None else verdict.bundle.lines):
        channel.send("part", part)
    channel.send("verdict", **verdict_fields(verdict))


def judge(paths: tuple[Path, ...], documents: tuple[Document, ...], registry: PluginRegistry) -> Verdict:
    """Validate a configuration. Blocks."""
    try:
        if os.environ.get(LOCK_VARIABLE):
            check_lock(paths, os.environ)
        loaded = load(paths, registry=registry, environ=os.environ, documents=documents, patience=WRITE_TIME)
    except ConfigError as error:
        problems = with_broken_distributions(error.problems)
        return Verdict(WatchSet.of(error.files, error.directories), problems=problems)
    return good_verdict(loaded, registry)


def good_verdict(loaded: LoadedConfig, registry: PluginRegistry) -> Verdict:
    """Return the verdict on a configuration that has no problems."""
    config = loaded.config
    # What was loaded without being bound are extensions, whose code runs in the serving processes as well.
    bundle = ConfigBundle(loaded.version, tuple(loaded.to_lines()), config.workers, registry.codes())
    certificates = [file for listen in config.listen if listen.tls is not None for file in files_of(listen.tls)]
    upstreams = [file for each in config.upstreams for file in each.tls.files]
    return Verdict(WatchSet.of([*loaded.files, *certificates, *upstreams], loaded.directories), bundle)


# -- the gateway's side


@dataclass(slots=True)
class _Job:
    """What a job has sent so far."""

    notes: list[str] = field(default_factory=list)
    since: float | None = None
    """When it began the import that it is at."""
    parts: list[bytes] = field(default_factory=list)
    verdict: dict[str, Any] | None = None

    def take(self, message: Message) -> None:
        if message.kind == "note":
            self.notes.append(message["about"])
            self.since = time.monotonic()
        elif message.kind == "done":
            self.since = None
        elif message.kind == "part":
            self.parts.append(message.body)
        elif message.kind == "verdict":
            self.verdict = dict(message.fields)

    def read(self) -> Verdict:
        if self.verdict is None:
            raise ValueError("no verdict")
        return read_verdict(self.verdict, [line for part in self.parts for line in part.split(b"\n")])

    @property
    def doing(self) -> str:
        return f" while {self.notes[-1]}" if self.notes else ""


class ValidatorProcess:
    """One process that has imported the gateway and no plugin; each of its jobs sees what is installed then."""

    def __init__(
        self,
        forked: Forked | None = None,
        *,
        stamp: Callable[[], Stamp] | None = None,
        timeout: float = VALIDATION_TIMEOUT,
    ) -> None:
        """Begin without a process, or with one that was forked and waits.

        :param stamp: returns another value when something was installed; called in a thread.
        :param timeout: seconds that a job may take.
        """
        self.is_superseded: Callable[[], bool] = lambda: False
        """Returns whether another validation is wanted already."""
        self._given_up = 0
        self._forked = forked
        self._stamp = stamp or site_stamp
        self._installed: Stamp = () if forked is None else self._stamp()
        self._timeout = timeout
        self._child: Child | None = None
        self._job = _Job()
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process; None if there is none at present."""
        return None if self._child is None else self._child.pid

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate a configuration.

        :raises ValidationFailedError: the process crashed, hung or talked nonsense.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        async with self._turn:
            job = write_job(paths, documents)
            installed = await asyncio.to_thread(self._stamp)
            if installed != self._installed:
                # Libraries that it has imported may be others now.
                await self._end()
            if (waiting := await self._waiting()) is not None:
                try:
                    return await self._judge(waiting, job)
                except ValidationHungError:
                    raise
                except ValidationFailedError:
                    pass  # It may have been killed, or outdated by an installation: a fresh one decides.
            self._installed = installed
            return await self._judge(await self._start(), job)

    async def discard(self) -> None:
        """Give up the process: what it imported may be outdated."""
        async with self._turn:
            await self._end()

    async def aclose(self) -> None:
        """End the process."""
        await self._end()

    async def _waiting(self) -> Child | None:
        """Return the process that is there, if it still runs."""
        forked, self._forked = self._forked, None
        if forked is not None:
            self._take(await Child.take("the validator", forked))
        return None if self._child is None or self._child.gone.is_set() else self._child

    async def _start(self) -> Child:
        await self._end()
        return self._take(await Child.spawn(VALIDATOR, "the validator", captures=True))

    def _take(self, child: Child) -> Child:
        child.listen(self._receive)
        self._child = child
        return child

    async def _receive(self, message: Message) -> None:
        self._job.take(message)

    async def _judge(self, child: Child, job: bytes) -> Verdict:
        """Give it a job, and return the verdict; it is ready for the next one then, else it is ended."""
        sent = self._job = _Job()
        try:
            calling = spawn(child.channel.call("validate", job), name="validate", on_error=lambda _: None)
            try:
                ending = await self._ending_of(calling, sent, Waited(child.pid))
            finally:
                calling.cancel()
            status, printed = ending["status"], ending["printed"]
        except TimeoutError:
            await self._end()
            raise ValidationHungError(
                f"validation did not end within {self._timeout:g} seconds and was stopped{sent.doing}"
            ) from None
        except ChannelClosedError:
            await self._end()
            status, printed = child.exit_status, child.printed
        except BaseException:
            # The rest of a verdict that was interrupted would be taken for the next one.
            await self._end()
            raise
        try:
            return sent.read()
        except ValueError as error:
            text = str(printed).strip()[-_MOST_SHOWN:] or "it printed nothing"
            text += f"; it ended{sent.doing}" if sent.notes else ""
            raise ValidationFailedError(f"validation ended with status {status} and {error}: {text}") from None

    async def _ending_of(self, calling: asyncio.Task[Message], sent: _Job, waited: Waited) -> Message:
        """Return how a job ended.

        :raises ValidationFailedError: it is at an import that takes too long, or the process is stopped.
        :raises TimeoutError: it takes too long.
        """
        since, began = None, 0.0  # of the import that it is at
        while not (await asyncio.wait({calling}, timeout=_LOOK_EVERY))[0]:
            waited.look()
            if waited.is_stopped_for_long:
                raise ValidationFailedError("the process that validates is stopped, and is ended")
            if waited.counted >= self._timeout:
                raise TimeoutError
            if since != sent.since:
                since, began = sent.since, waited.counted
            seconds = 0.0 if since is None else waited.counted - began
            if seconds > IMPORT_TIMEOUT:
                raise ValidationHungError(f"validation was stopped after {seconds:.0f} seconds{sent.doing}")
            if seconds > GIVEN_UP_AFTER and self._given_up < _MOST_GIVEN_UP and self.is_superseded():
                self._given_up += 1
                text = f"validation was given up for what changed meanwhile, after {seconds:.0f} seconds{sent.doing}"
                raise ValidationHungError(text)
        self._given_up = 0
        return calling.result()

    async def _end(self) -> None:
        child, self._child = self._child, None
        if self._forked is not None:
            forked, self._forked = self._forked, None
            child = await Child.take("the validator", forked)
        if child is not None:
            await child.end()


def site_stamp() -> Stamp:
    """Return when the folders of installed distributions last changed."""
    return environment_stamp(path for path in sys.path if Path(path).name in SITES)
