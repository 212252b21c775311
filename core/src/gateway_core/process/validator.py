"""The role of the validator: it comes to a verdict on each configuration that the gateway gives it.

It has imported the gateway and no plugin, and does each job in a child of its own (so it has no threads). A job takes
no second to begin, and still sees the plugins that are installed when it comes: what a child imported ends with it. A
job says which plugin it is about to import, for when it does not come to an end, and sends its verdict over the channel
itself; how it ended is sent by the validator as the reply to the call.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from gateway_core.config import ConfigError, ConfigProblem, Document, LoadedConfig, Place
from gateway_core.config.sources import WatchSet
from gateway_core.packages import PluginRegistry, Published
from gateway_core.packages.lock_file import LOCK_VARIABLE, LockError, read_lock
from gateway_core.packages.locking import drift, installed_plugins
from gateway_core.process.certificates import files_of
from gateway_core.process.channel import REPLY, BlockingChannel, ChannelClosedError, Message, parts
from gateway_core.process.child import scratch_file
from gateway_core.process.log_writer import stop_all
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.verdict import Verdict, read_job, verdict_fields
from gateway_core.snapshot import load, to_lines
from gateway_core.upstreams.transport import tls_files

WRITE_TIME: Final = 0.5
"""Seconds that a reload waits for a file that is cut off: an editor or a copy may still be writing it."""

_MOST_TEXT: Final = 16_384


def serve(channel: BlockingChannel) -> None:
    """Do one job after the other until the gateway closes the channel. Needs a process with one thread."""
    warm_up()
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    with contextlib.suppress(ChannelClosedError):
        while True:
            _do(channel, channel.receive())


def warm_up() -> None:
    """Import everything that a validation needs, short of plugins: those must be the ones of when there is a job."""
    nothing_installed = PluginRegistry(find=dict)
    load(
        (), registry=nothing_installed, environ={}, documents=[Document("", "routes: [{path: /, target: 'http://x'}]")]
    )


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
        send_verdict(channel, judge(*read_job(job.body), PluginRegistry(on_load=lambda each: _note(channel, each))))
        sys.stdout.flush()
        status = 0
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        stop_all()
        os._exit(status)


def _note(channel: BlockingChannel, published: Published) -> None:
    about = f"importing plugin {published.name!r} of {published.distribution} {published.version}"
    channel.send("note", about=about)


def send_verdict(channel: BlockingChannel, verdict: Verdict) -> None:
    """Send the lines of a verdict's bundle in parts, then the rest of it."""
    for part in parts(() if verdict.bundle is None else verdict.bundle.lines):
        channel.send("part", part)
    channel.send("verdict", **verdict_fields(verdict))


def judge(paths: tuple[Path, ...], documents: tuple[Document, ...], registry: PluginRegistry) -> Verdict:
    """Validate a configuration. Blocks."""
    try:
        check_lock(paths, os.environ)
        loaded = load(paths, registry=registry, environ=os.environ, documents=documents, patience=WRITE_TIME)
    except ConfigError as error:
        return Verdict(WatchSet.of(error.files, error.directories), problems=error.problems)
    return good_verdict(loaded, registry)


def good_verdict(loaded: LoadedConfig, registry: PluginRegistry) -> Verdict:
    """Return the verdict on a configuration that has no problems."""
    config = loaded.config
    # What was loaded without being bound are extensions, whose code runs in the serving processes as well.
    bundle = ConfigBundle(loaded.version, tuple(to_lines(loaded)), config.workers, registry.codes())
    certificates = [file for listen in config.listen if listen.tls is not None for file in files_of(listen.tls)]
    upstreams = tls_files(config.upstreams)
    return Verdict(WatchSet.of([*loaded.files, *certificates, *upstreams], loaded.directories), bundle)


def check_lock(paths: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Refuse every configuration while the installed plugins are not as they were locked (``gateway run --locked``).

    Before a plugin is imported, and in whatever process validates next: the path of the lock file travels in the
    environment.

    :param paths: the files and directories of the configuration, which stay watched.
    :raises ConfigError: with a problem for each plugin that is not.
    """
    path = environ.get(LOCK_VARIABLE)
    if not path:
        return
    try:
        # A registry of its own: the caller's goes on to know which plugins the configuration made it load.
        locked = read_lock(Path(path))
        differences = list(drift(locked, installed_plugins(PluginRegistry(), locked)))
    except LockError as error:
        differences = [str(error)]
    if differences:
        problems = [ConfigProblem(Place(path), "", text, code="plugin.not-as-locked") for text in differences]
        files = [each for each in paths if not each.is_dir()]
        raise ConfigError(problems, files=[*files, Path(path)], directories=[each for each in paths if each.is_dir()])
