"""What the program and the processes that serve agree on.

A `ProcessModel` serves configurations: this process alone (`in_process`), or workers (`supervisor`). What it cannot
take in while it runs, such as new code of a plugin, needs a new program (`RestartNeededError`). That takes the place of
this one in the same process, by ``execve``, and goes on with the sockets, workers and configuration of a `Handover`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NoReturn, Protocol

from gateway_core.config import GatewayConfig
from gateway_core.config.sources import Seen, WatchSet
from gateway_core.descriptors import restore_descriptor_limit
from gateway_core.errors import GatewayError
from gateway_core.metrics.ledger import Ledger
from gateway_core.metrics.samples import Samples
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.log_writer import stop_all
from gateway_core.process.loops import keep_signals, resend_signals
from gateway_core.process.plugin_guard import set_handler
from gateway_core.process.plugin_services import CommandReport
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle, Unfinished
from gateway_core.reload.overrides import Overrides
from gateway_core.reload.pipeline import Change
from gateway_core.upstreams.finding_store import Finding

VARIABLE: Final = "GATEWAY_HANDOVER"


class RestartNeededError(GatewayError):
    """A configuration needs code that a running process cannot take in; the text names it."""


@dataclass(frozen=True, slots=True)
class WorkerLeft:
    """A worker that goes on serving while the program around it is replaced."""

    pid: int
    channel: int
    """File descriptor of the supervisor's end."""
    version: str
    unread: bytes = b""
    """What came from it and was not taken yet: the calls of its plugins go on."""
    metrics: str = field(default="[]", repr=False)
    """What it said last of its metrics (`Samples.dump`)."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Everything that survives ``execve``: file descriptors, and the children's pids."""

    listeners: Mapping[str, int]
    """File descriptor of each listening socket by its address as configured."""
    workers: Sequence[WorkerLeft]
    bundle: ConfigBundle
    counts: str = field(default="[]", repr=False)
    """Counters of processes that are gone, and of the program itself (`Samples.dump`)."""
    shared: Sequence[Any] = field(default=(), repr=False)
    """Values that plugins share (`gateway_core.process.plugin_services.to_plain`)."""
    findings: Sequence[Finding] = field(default=(), repr=False)
    """What discoveries and health checks have found, which stays in force until the next program finds more."""
    overrides: Sequence[Mapping[str, Any]] = ()
    """What operators override (`gateway_core.process.override_table.plain_of`), where no disk keeps it."""
    unfinished: Unfinished = field(default_factory=Unfinished, repr=False)
    """What the pipeline goes on with."""

    def replace_program(self, arguments: Sequence[str]) -> NoReturn:
        """Run the program again in this process, as it is installed now."""
        # Signals that come before the new program can take them wait instead of ending it.
        signals = keep_signals()
        descriptor = _anonymous_file()
        with os.fdopen(os.dup(descriptor), "wb") as out:
            out.write(json.dumps({**self._plain(), "signals": signals}).encode())
        for inherited in (descriptor, signals, *self.listeners.values(), *(worker.channel for worker in self.workers)):
            os.set_inheritable(inherited, True)
        sys.stdout.flush()
        sys.stderr.flush()
        stop_all(1.0)  # of the log: what is not written by then would never be
        restore_descriptor_limit()  # so that the new program knows what this one was started with
        # What a plugin has set for this program and execve keeps: a timer would end one that has no handler for it.
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        set_handler(signal.SIGCHLD, signal.SIG_DFL)
        os.execve(sys.executable, list(arguments), {**os.environ, VARIABLE: str(descriptor)})  # noqa: S606  # ourselves

    def _plain(self) -> dict[str, Any]:
        bundle = self.bundle
        return {
            "listeners": dict(self.listeners),
            "workers": [
                {**asdict(worker), "unread": base64.b64encode(worker.unread).decode()} for worker in self.workers
            ],
            "counts": self.counts,
            "shared": list(self.shared),
            "findings": list(self.findings),
            "overrides": list(self.overrides),
            "unfinished": asdict(self.unfinished),
            "protocol": PROTOCOL,
            "bundle": bundle.to_plain(),
        }


def _anonymous_file() -> int:
    """Return the descriptor of a file without a name: in memory, where a read-only system has no room for others."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gateway-handover")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def take_over() -> Handover | None:
    """Return what an earlier program in this process left; None if there was none.

    :raises GatewayError: it is of a version that is not understood.
    """
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return None
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        plain = json.load(file)
    if "signals" in plain:  # a program of 0.1 has none
        resend_signals(plain["signals"])
    if plain.get("protocol") != PROTOCOL:
        raise GatewayError(f"the program before this one handed over in another protocol than {PROTOCOL}")
    return Handover(
        plain["listeners"],
        [WorkerLeft(**{**worker, "unread": base64.b64decode(worker["unread"])}) for worker in plain["workers"]],
        ConfigBundle.from_plain(plain["bundle"]),
        plain["counts"],
        plain["shared"],
        plain.get("findings", ()),
        plain.get("overrides", ()),
        _unfinished(plain.get("unfinished")),
    )


def _unfinished(plain: Mapping[str, Any] | None) -> Unfinished:
    if plain is None:  # a program of 0.1 has not looked at anything that is known here
        return Unfinished(requested=["the program before this one"])
    return Unfinished(Seen(**plain["seen"]), plain["requested"])


class ProcessModel(Protocol):
    """The processes that serve: this one alone, or workers."""

    config: GatewayConfig
    """The configuration in force."""
    ledger: Ledger
    """Where the metrics of all processes are added up; takes those of the program as `PROGRAM`."""

    async def prepare(self, bundle: ConfigBundle) -> Change:
        """Have every process build a configuration beside the one in force, if there is one.

        :raises ConfigError: something in it cannot be made or started.
        :raises RestartNeededError: it can be in force only after `restart`.
        :raises GatewayError: it cannot be in force for another reason.
        """

    async def restart(self, bundle: ConfigBundle) -> Handover:
        """Return what a new program in this process takes over; raises if it would not work."""

    async def stop(self, deadline: float) -> None:
        """Let requests finish for at most so many seconds, then end."""

    def reopen_files(self) -> None:
        """Pass SIGUSR1 on to the processes that have files open."""

    def urls(self) -> Sequence[str]:
        """Return where it listens."""

    def files(self) -> WatchSet:
        """Return files beside the configuration's that a reload has to look at."""

    async def status(self, timeout: float) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return what the admin listener shows.

        :param timeout: seconds that workers may take to report theirs.
        """

    async def override(self, overrides: Overrides) -> Sequence[int]:
        """Have these overrides in force in every process, and no others, for configurations to come as well.

        :returns: the numbers of the workers that have not taken them in in time, and will do so later.
        """
        ...

    async def plugins(self) -> Mapping[str, Any]:
        """Return what the admin listener shows of plugins."""

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""

    async def watch_requests(self, filters: Sequence[TailFilter]) -> None:
        """Have all workers send the requests that match a filter."""

    async def traffic(self) -> tuple[Sequence[tuple[int, Mapping[str, Any]]], Sequence[int]]:
        """Return what each worker has counted since the last call, and the numbers of those that are silent."""

    async def used_routes(self) -> Sequence[str]:
        """Return the routes that had a request since the last call."""

    async def samples(self) -> Samples:
        """Return the metrics of all processes, those that are gone included."""
