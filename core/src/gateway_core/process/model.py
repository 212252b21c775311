"""What serves a configuration, as the program sees it: this process alone (`in_process`), or workers (`supervisor`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway_core.config import GatewayConfig
from gateway_core.config.sources import WatchSet
from gateway_core.process.handover import Handover
from gateway_core.process.plugin_services import CommandReport
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.pipeline import Change


class ProcessModel(Protocol):
    """The processes that serve: this one alone, or workers."""

    config: GatewayConfig
    """The configuration in force."""

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

        :param timeout: seconds that workers may take to tell theirs.
        """

    async def plugins(self) -> Mapping[str, Any]:
        """Return what the admin listener shows of plugins."""

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Run a command of a binding in every worker."""

    async def exposition(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
