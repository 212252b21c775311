"""What the admin listener shows, and what carries out its operations: the program, as far as this package knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from gateway_core.admin.access import Access
from gateway_core.config import LoadedConfig
from gateway_core.config.api_document import ApiDocument
from gateway_core.observe.live_feed import LiveFeed

STATUS_TIMEOUT: Final = 5.0


class Report(Protocol):
    """What became of a command in each worker."""

    @property
    def status(self) -> int:
        """The HTTP status that says it: 200, 404, 422 or 5xx."""
        ...

    def entries(self) -> list[dict[str, Any]]:
        """Return the result or the error of each worker, ready for JSON."""
        ...


class LastUsed(Protocol):
    """When routes were last used, over all workers."""

    @property
    def at(self) -> Mapping[str, float]:
        """Seconds since the epoch, by the ids of routes that were used since the program started."""
        ...


class Writer(Protocol):
    """What writes the document of the API."""

    @property
    def name(self) -> str:
        """What problems and places call the document."""
        ...

    async def document(self) -> ApiDocument:
        """Return the document that is on disk.

        :raises GatewayError: it cannot be read.
        """
        ...

    async def write(
        self, edit: Callable[[ApiDocument], ApiDocument], why: str, *, dry_run: bool = False
    ) -> tuple[ApiDocument, Mapping[str, Any]]:
        """Apply an edit, and return the document and what became of it, ready for JSON.

        :raises RefusedError: the edit may not be, its outcome has problems, or nothing can be kept.
        :raises GatewayError: it cannot be applied for another reason.
        """
        ...


class Overrides(Protocol):
    """What operators override while the gateway runs.

    Each change returns ``override`` (None if it ended one), ``silent_workers`` and ``not_kept``, ready for JSON.
    """

    def describe(self) -> list[dict[str, Any]]:
        """Return what is overridden."""
        ...

    async def drain(
        self, endpoint: str, upstream: str | None, *, force: bool, by: str, reason: str, seconds: float
    ) -> Mapping[str, Any]:
        """Send an endpoint no new requests.

        :param upstream: the upstream's name; None if the endpoint's id is of one upstream alone.
        :param force: also if it is the last one that its upstream has.
        :raises RefusedError: there is no such endpoint, or it is the last one.
        """
        ...

    async def up(
        self, endpoint: str, upstream: str | None, *, by: str, reason: str, seconds: float
    ) -> Mapping[str, Any]:
        """End the drain of an endpoint, or have one that is configured or discovered down or draining get requests.

        :raises RefusedError: there is no such endpoint.
        """
        ...

    async def release(self, binding: str, *, by: str, reason: str, seconds: float) -> Mapping[str, Any]:
        """Take a binding out of quarantine, and keep it out for a while.

        :raises RefusedError: there is no such binding, or it has no quarantine.
        """
        ...

    async def set_log_level(self, level: str | None, *, by: str, reason: str, seconds: float) -> Mapping[str, Any]:
        """Log from a level on in every process; None has the configuration decide again."""
        ...


class AdminView(Protocol):
    """A program behind its admin listener."""

    @property
    def live(self) -> LiveFeed:
        """What is streamed of this program."""
        ...

    @property
    def last_used(self) -> LastUsed:
        """When routes were last used."""
        ...

    @property
    def overrides(self) -> Overrides:
        """What operators override."""
        ...

    @property
    def writer(self) -> Writer:
        """What writes the document of the API."""
        ...

    async def loaded(self) -> LoadedConfig:
        """Return the configuration in force, with its places.

        :raises GatewayError: there is none.
        """
        ...

    is_draining: bool
    """Whether the program is about to end."""

    async def history(self) -> Mapping[str, Any]:
        """Return the versions that were in force, and what is pinned, ready for JSON."""
        ...

    async def kept_version(self, number: int) -> Mapping[str, Any]:
        """Return a version with its configuration, without secrets.

        :raises RefusedError: there is none of this number.
        """
        ...

    async def diff(self, old: int | None, new: int | None) -> Mapping[str, Any]:
        """Return what differs between two versions, without secrets; None is what is in force.

        :raises RefusedError: there is none of a number.
        """
        ...

    async def roll_back(self, number: int, by: str, reason: str) -> Mapping[str, Any]:
        """Put a version in force and pin it, and return what became of it, ready for JSON.

        :raises RefusedError: there is no such version.
        :raises GatewayError: it cannot be put in force.
        """
        ...

    async def try_roll_back(self, number: int) -> Mapping[str, Any]:
        """Prepare a version, and change nothing; returns what `try_reload` does.

        :raises RefusedError: there is none of this number.
        :raises GatewayError: it cannot be read, or not be prepared for a reason that is not the configuration's.
        """
        ...

    async def unpin(self, by: str) -> Mapping[str, Any]:
        """Let files count again, apply them, and return what became of it, ready for JSON.

        :raises RefusedError: nothing is pinned.
        """
        ...

    async def access(self) -> Access:
        """Return who is let in at the moment.

        :raises RefusedError: that is not known, as the file of the tokens cannot be used.
        """

    async def status(self, timeout: float = STATUS_TIMEOUT) -> Mapping[str, Any]:  # noqa: ASYNC109 - the workers'
        """Return version, upstreams and counts, ready for JSON, without secrets.

        :param timeout: seconds that workers may take to report theirs.
        """

    async def plugins(self) -> Mapping[str, Any]:
        """Return plugins, bindings and times of each worker, ready for JSON, without configurations.

        Each binding has the role that each of its commands needs.
        """

    async def describe_plugin(self, name: str) -> Mapping[str, Any]:
        """Return what an installed plugin does, its hooks and the JSON Schema of its options, ready for JSON.

        :raises RefusedError: none of this name is installed.
        :raises GatewayError: it cannot be imported.
        """
        ...

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> Report:
        """Run a command of a binding in every worker."""
        ...

    async def exposition(self, content_type: str) -> bytes:
        """Return the metrics in a format of `gateway_core.metrics.render`."""

    async def reload(self) -> Mapping[str, Any]:
        """Reload the configuration, wait for the outcome, and return it, with ``report``: problems as text.

        :raises GatewayError: the program ends, or another one takes over, before there is an outcome.
        """

    async def try_reload(self) -> Mapping[str, Any]:
        """Validate and prepare what files and sources have, and change nothing; ready for JSON.

        :returns: ``result`` (``ok`` or ``rejected``), ``problems`` and ``report``; if it is ``ok`` also
            ``differences``, ``total``, and ``losses``: connections and state of plugins that would end.
        :raises GatewayError: it cannot be validated or prepared for a reason that is not the configuration's.
        """
        ...

    def request_reload(self) -> None:
        """Reload the configuration soon."""

    async def match(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return which route of the configuration in force takes a request, and why.

        :param request: as `gateway_core.admin.match.MatchRequest.from_json` reads it, and perhaps ``listener``.
        :raises ValueError: it is no request, or there is no such listener.
        :raises GatewayError: no configuration is in force.
        """
