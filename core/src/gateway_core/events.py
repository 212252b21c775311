"""The events of the gateway's log: one catalogue of stable names, with the level and the fields of each.

    emit(WORKER_ENDED, f"{worker} ended unexpectedly: {why}", worker=2, pid=812, reason=why)

An event is one line on stderr. Its name and its fields are for programs: alerts and searches may depend on them. The
text is for people, and may change. docs/events.md is made from this table. Names are ``subject.what_happened``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Event(NamedTuple):
    """A kind of line in the gateway's log."""

    name: str
    """Stable; the value of ``event`` in JSON lines."""
    level: int
    """Of `logging`."""
    text: str
    """When it happens; for documentation."""
    fields: tuple[str, ...]
    """Names of the values that come with it; one that does not apply to a line is left out of it."""

    @property
    def logger(self) -> str:
        """Name of the logger that it is written with: ``gateway.upstream``."""
        return f"gateway.{self.name.partition('.')[0]}"


RESERVED_FIELDS: Final = frozenset({"time", "level", "logger", "event", "message", "details", "process", "exception"})
"""Keys of every JSON line, which no event has as fields of its own."""

listeners: Final[list[Callable[[Event, str, Mapping[str, object]], None]]] = []
"""Called with every event of this process, its message and its fields, whatever level the log has; in any thread."""

_table: dict[str, Event] = {}


def _event(name: str, level: int, text: str, *fields: str) -> Event:
    event = _table[name] = Event(name, level, text, fields)
    return event


def emit(
    event: Event,
    message: str,
    *,
    details: str = "",
    error: BaseException | None = None,
    logger: logging.Logger | None = None,
    **fields: object,
) -> None:
    """Write an event.

    :param message: one line for people, without the name of the event.
    :param details: further lines, such as an excerpt of a configuration.
    :param error: its traceback follows.
    :param logger: writes it in place of the event's own, such as a plugin's.
    :param fields: those of the event; None is left out.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    extra = {"event": event.name, "fields": given, "headline": message, "details": details}
    logger = logger or logging.getLogger(event.logger)
    # Other handlers than the gateway's own, such as those of an embedding program, have all of it in one text.
    text = f"{message}\n{details}" if details else message
    logger.log(event.level, "%s", text, exc_info=error, extra=extra, stacklevel=2)
    for listener in listeners:
        listener(event, message, given)


_INFO, _WARNING, _ERROR = logging.INFO, logging.WARNING, logging.ERROR

# -- upstreams

_FAILURE: Final = ("upstream", "endpoint", "reason", "count")
UPSTREAM_CONNECT_FAILED: Final = _event(
    "upstream.connect_failed", _WARNING, "no connection: refused, unreachable, a name that does not resolve, or TLS "
    "failed; `reason` is the system's or OpenSSL's own text", *_FAILURE,
)  # fmt: skip
UPSTREAM_CONNECT_TIMEOUT: Final = _event(
    "upstream.connect_timeout", _WARNING, "no connection within `timeouts.connect`, TLS included", *_FAILURE
)
UPSTREAM_RESPONSE_TIMEOUT: Final = _event(
    "upstream.response_timeout", _WARNING, "no response within `timeouts.response` or `retries.per_try_timeout`, or "
    "no more of it within `timeouts.idle`", *_FAILURE,
)  # fmt: skip
UPSTREAM_RESET: Final = _event(
    "upstream.reset", _WARNING, "the endpoint closed the connection before its response began", *_FAILURE
)
UPSTREAM_BAD_RESPONSE: Final = _event(
    "upstream.bad_response", _WARNING, "the response is not HTTP that has one meaning; `reason` says where", *_FAILURE
)
UPSTREAM_TRUNCATED: Final = _event("upstream.truncated", _WARNING, "the endpoint closed within a response", *_FAILURE)
UPSTREAM_UNAVAILABLE: Final = _event(
    "upstream.unavailable", _WARNING, "requests get 503: no endpoint may get them", "upstream", "reason", "count"
)
UPSTREAM_OVERLOADED: Final = _event(
    "upstream.overloaded", _WARNING, "requests get 503: `limits` of the upstream are reached", "upstream", "reason",
    "count",
)  # fmt: skip
UPSTREAM_LOCAL_ERROR: Final = _event(
    "upstream.local_error", _ERROR, "this process has no descriptor, port or memory for a connection; the endpoint is "
    "not to blame", "reason", "count", "descriptor_limit",
)  # fmt: skip

CONNECTION_NOT_ACCEPTED: Final = _event(
    "connection.not_accepted", _ERROR, "this process has no descriptor or memory to accept connections of clients",
    "reason", "count", "descriptor_limit",
)  # fmt: skip

LIMIT_REACHED: Final = _event(
    "limit.reached", _WARNING, "clients meet a limit of the configuration, and are refused or cut off; `limit` is the "
    "reason that access logs have", "limit", "route", "client", "count",
)  # fmt: skip

# -- endpoints: what the gateway decides from checks and from requests

ENDPOINT_UNHEALTHY: Final = _event(
    "endpoint.unhealthy", _WARNING, "active checks failed `unhealthy_threshold` times in a row", "upstreams",
    "endpoint", "check", "reason",
)  # fmt: skip
ENDPOINT_HEALTHY: Final = _event(
    "endpoint.healthy", _INFO, "active checks of an unhealthy endpoint pass again", "upstreams", "endpoint", "check"
)
ENDPOINT_EJECTED: Final = _event(
    "endpoint.ejected", _WARNING, "outlier detection, or a dead discovered address, took an endpoint out for a while",
    "upstream", "endpoint", "reason", "seconds",
)  # fmt: skip
BREAKER_OPENED: Final = _event(
    "breaker.opened", _WARNING, "a circuit breaker rejects requests to an endpoint", "upstream", "endpoint", "reason"
)
BREAKER_HALF_OPEN: Final = _event(
    "breaker.half_open", _INFO, "an open circuit breaker lets a few requests probe the endpoint", "upstream", "endpoint"
)
BREAKER_CLOSED: Final = _event("breaker.closed", _INFO, "a breaker lets all requests through", "upstream", "endpoint")

# -- discovery and names

DISCOVERY_STALE: Final = _event(
    "discovery.stale", _WARNING, "a registry does not confirm the endpoints of an upstream, which keeps the last ones",
    "upstream", "reason", "endpoints",
)  # fmt: skip
DISCOVERY_RECOVERED: Final = _event(
    "discovery.recovered", _INFO, "a registry confirms the endpoints again", "upstream", "endpoints"
)
DISCOVERY_EMPTY: Final = _event(
    "discovery.empty", _WARNING, "a registry says that an upstream has no endpoints", "upstream", "reason"
)
DISCOVERY_FOUND: Final = _event(
    "discovery.found", _INFO, "an upstream without discovered endpoints has some again", "upstream", "endpoints"
)
DISCOVERY_CHANGED: Final = _event(
    "discovery.changed", _INFO, "a registry has other endpoints than before; the message names some", "upstream",
    "endpoints", "added", "removed",
)  # fmt: skip
DISCOVERY_PARTIAL: Final = _event(
    "discovery.partial", _WARNING, "some of what a registry names cannot be used and is left out", "name", "reason"
)
DISCOVERY_STRATEGY_REFUSED: Final = _event(
    "discovery.strategy_refused", _WARNING, "a registry names a strategy that the upstream cannot use", "upstream",
    "strategy", "reason",
)  # fmt: skip
NAME_UNRESOLVED: Final = _event(
    "name.unresolved", _WARNING, "a name of an endpoint does not resolve; its last addresses stay in use", "name",
    "reason",
)  # fmt: skip
NAME_RESOLVED: Final = _event("name.resolved", _INFO, "a name that did not resolve does again", "name")

# -- configuration

SOURCE_STALE: Final = _event(
    "source.stale", _WARNING, "a source of configuration is unreachable; its last documents stay in force", "source",
    "reason",
)  # fmt: skip
SOURCE_RECOVERED: Final = _event("source.recovered", _INFO, "a source of configuration responds again", "source")

CONFIG_APPLIED: Final = _event(
    "config.applied", _INFO, "a reload put a configuration in force; the message names what changed", "trigger",
    "version",
)  # fmt: skip
CONFIG_REJECTED: Final = _event(
    "config.rejected", _ERROR, "a reload found problems, which follow as `details`; the old configuration stays in "
    "force", "trigger", "problems",
)  # fmt: skip
CONFIG_PINNED: Final = _event(
    "config.pinned", _WARNING, "what files and sources have was validated and is not applied, as a version is pinned",
    "number", "by", "problems",
)  # fmt: skip
CONFIG_FAILED: Final = _event(
    "config.failed", _ERROR, "a reload could not be done, for a reason that is not the configuration's; the old one "
    "stays in force", "trigger", "reason",
)  # fmt: skip
CONFIG_WARNINGS: Final = _event(
    "config.warnings", _WARNING, "the configuration in force has warnings, which follow as `details`", "problems"
)
CONFIG_LAST_GOOD: Final = _event(
    "config.last_good", _ERROR, "the configuration has problems, and the last good one was started (`--last-good`)",
    "path", "problems",
)  # fmt: skip
CONFIG_NOT_KEPT: Final = _event(
    "config.not_kept", _ERROR, "the last good configuration or document cannot be written to or read from the state "
    "directory", "path", "reason",
)  # fmt: skip
CONFIG_WATCH_POLLS: Final = _event(
    "config.watch_polls", _WARNING, "the system cannot report changes of files, which are compared instead", "reason",
    "seconds",
)  # fmt: skip
DOCUMENTS_REJECTED: Final = _event(
    "documents.rejected", _ERROR, "documents of sources have problems; their last good versions stay in force",
    "documents", "problems",
)  # fmt: skip
SOURCE_CACHED: Final = _event(
    "source.cached", _WARNING, "a source is unreachable at the start; its last good documents are used", "source",
    "reason", "path",
)  # fmt: skip

# -- processes

SERVER_LISTENING: Final = _event(
    "server.listening", _INFO, "the gateway is ready on an address; in text only `listening on URL`", "url", "version",
    "admin", "workers",
)  # fmt: skip
SERVER_NOT_STARTED: Final = _event(
    "server.not_started", _ERROR, "the gateway cannot start, and ends; in text only the reason", "reason"
)
SERVER_STOPPING: Final = _event(
    "server.stopping", _INFO, "the gateway drains and ends", "signal", "shutdown_timeout", "drain_delay"
)
SERVER_STOPPED_AT_ONCE: Final = _event(
    "server.stopped_at_once", _WARNING, "a second signal came, or requests took longer than `shutdown_timeout`"
)
SERVER_NOT_ENDING: Final = _event(
    "server.not_ending", _ERROR, "something keeps the process from ending, which is cut short", "reason"
)
SERVER_RESTARTING: Final = _event(
    "server.restarting", _INFO, "a new program takes over, for SIGUSR2 or because running code changed", "reason"
)
SERVER_RESTARTED: Final = _event("server.restarted", _INFO, "a new program has taken over", "version", "urls", "admin")
SERVER_NOT_RESTARTED: Final = _event(
    "server.not_restarted", _ERROR, "a restart was asked for and refused; the running program goes on", "reason"
)
WORKER_ENDED: Final = _event(
    "worker.ended", _ERROR, "a worker ended unexpectedly and is replaced", "worker", "pid", "status"
)
WORKER_REPLACED: Final = _event("worker.replaced", _INFO, "a worker serves in place of one that ended", "worker", "pid")
WORKER_NOT_REPLACED: Final = _event(
    "worker.not_replaced", _ERROR, "a worker cannot be started; it is tried again", "worker", "reason"
)
WORKER_KILLED: Final = _event(
    "worker.killed", _WARNING, "a worker did not drain in time, and was killed", "worker", "pid"
)
WORKER_ORPHANED: Final = _event(
    "worker.orphaned", _WARNING, "the supervisor is gone; the worker drains and ends", "worker"
)
WORKER_CALL_FAILED: Final = _event(
    "worker.call_failed", _ERROR, "a call of the supervisor failed in a worker: a defect", "call", "reason"
)
WATCHER_ENDED: Final = _event(
    "watcher.ended", _ERROR, "the process of discovery and health checks ended and is started again", "reason"
)
WATCHER_NOT_STARTED: Final = _event(
    "watcher.not_started", _ERROR, "the process of discovery and health checks cannot be started yet", "reason"
)
SHARED_FOLDER_MISSING: Final = _event(
    "shared_folder.missing", _WARNING, "workers have no folder to share counters in", "reason"
)
CONTROL_SOCKET_MISSING: Final = _event(
    "control_socket.missing", _WARNING, "there is no control socket, so `gateway status`, `reload`, `call` and "
    "`match --running` do not work", "reason",
)  # fmt: skip
ADMIN_WRITE: Final = _event(
    "admin.write", _INFO, "the audit log of the admin API: who has changed something, and what was responded",
    "caller", "role", "how", "token", "method", "target", "status", "client",
)  # fmt: skip
_OVERRIDE: Final = ("kind", "upstream", "name", "by", "reason", "expires", "state")
ADMIN_OVERRIDE: Final = _event("admin.override", _INFO, "an override begins, expires or is ended", *_OVERRIDE)
ADMIN_LOGIN_FAILED: Final = _event(
    "admin.login_failed", _WARNING, "a token that the admin listener was sent is unknown, has expired or was revoked",
    "client",
)  # fmt: skip
CERTIFICATES_KEPT: Final = _event(
    "certificates.kept", _ERROR, "new certificates cannot be used; the listener keeps the ones that it has",
    "listener", "reason",
)  # fmt: skip
CERTIFICATES_WARNING: Final = _event(
    "certificates.warning", _WARNING, "a certificate serves, with a flaw", "listener", "reason"
)
CERTIFICATES_STALE: Final = _event(
    "certificates.stale", _WARNING, "a certificate source of an extension failed; its last certificates stay in use",
    "source", "reason", "seconds",
)  # fmt: skip
CERTIFICATES_MISSING: Final = _event(
    "certificates.missing", _WARNING, "certificate sources of extensions have not yielded any certificate yet"
)

# -- plugins

PLUGINS_CHANGED: Final = _event("plugins.changed", _INFO, "plugins were installed, changed or removed", "change")
PLUGINS_UNREADABLE: Final = _event(
    "plugins.unreadable", _WARNING, "what is installed cannot be read now, as for want of descriptors: what was seen "
    "last counts", "reason",
)  # fmt: skip
PLUGINS_WARNING: Final = _event("plugins.warning", _WARNING, "an installed extension cannot be used", "reason")
PLUGIN_LOG: Final = _event(
    "plugin.log", _INFO, "a line that a plugin or an extension writes itself, by its logger `gateway.plugin.NAME`; the "
    "level is the plugin's", "plugin",
)  # fmt: skip
LIBRARY_LOG: Final = _event(
    "library.log", _INFO, "a line of a library that the gateway or a plugin uses; `logger` names it, and the level is "
    "the library's",
)  # fmt: skip
PLUGIN_CALL_REFUSED: Final = _event(
    "plugin.call_refused", _WARNING, "a plugin tried to change what belongs to the gateway's process, such as a "
    "handler of a signal", "reason",
)  # fmt: skip
PLUGIN_EXITED: Final = _event(
    "plugin.exited", _ERROR, "code in the process called `os._exit`, which ends it at once", "status", "file"
)
LOOP_STOPPED: Final = _event("loop.stopped", _ERROR, "a plugin's task stopped the event loop, which goes on", "reason")
PLUGIN_SHADOW: Final = _event(
    "plugin.shadow", _INFO, "a binding in shadow mode would have decided otherwise", "plugin", "binding", "request_id",
    "trace_id", "reason",
)  # fmt: skip
PLUGIN_FAILED: Final = _event(
    "plugin.failed", _ERROR, "a hook raised, took too long, or returned what it may not", "plugin", "binding", "phase",
    "request_id", "trace_id", "reason", "count",
)  # fmt: skip
PLUGIN_QUARANTINED: Final = _event(
    "plugin.quarantined", _ERROR, "a binding keeps failing, and is not called for a while", "plugin", "binding",
    "phase", "seconds",
)  # fmt: skip
PLUGIN_RECOVERED: Final = _event(
    "plugin.recovered", _WARNING, "a binding in quarantine works again", "plugin", "binding"
)
PLUGIN_BLOCKED_LOOP: Final = _event(
    "plugin.blocked_loop", _WARNING, "a hook held up every other request for longer than `blocking_threshold`",
    "plugin", "phase", "seconds", "file", "count",
)  # fmt: skip
PLUGIN_TASK_FAILED: Final = _event(
    "plugin.task_failed", _ERROR, "a background task that a plugin started ended with an exception", "plugin",
    "binding", "reason", "count",
)  # fmt: skip
PLUGIN_STOP_FAILED: Final = _event(
    "plugin.stop_failed", _ERROR, "`stop` of a plugin raised, or took too long, as did a task that it left", "plugin",
    "reason",
)  # fmt: skip
PLUGIN_SURROUNDINGS: Final = _event(
    "plugin.surroundings", _WARNING, "a plugin changed the working directory or removed variables of the environment, "
    "which was undone", "reason",
)  # fmt: skip
PLUGIN_BODY_FAILED: Final = _event(
    "plugin.body_failed", _ERROR, "what a plugin gave as a body, or a filter of it, failed", "request_id", "trace_id",
    "reason",
)  # fmt: skip
PLUGIN_START_FAILED: Final = _event(
    "plugin.start_failed", _ERROR, "`start` of a plugin raised; the configuration is not applied", "plugin", "reason"
)

# -- requests and tasks

TRACING_EXPORT_FAILED: Final = _event(
    "tracing.export_failed", _WARNING, "the collector did not take spans; `lost` are lost", "reason", "lost", "count"
)
_VARIABLE: Final = "an OTEL_* variable is not understood, and does not count"
TRACING_VARIABLE_IGNORED: Final = _event("tracing.variable_ignored", _WARNING, _VARIABLE, "reason")
REQUEST_FAILED: Final = _event(
    "request.failed", _ERROR, "the gateway itself failed over a request, which gets 500: a defect, or what a plugin "
    "left", "request_id", "trace_id", "reason",
)  # fmt: skip
CONNECTION_FAILED: Final = _event(
    "connection.failed", _ERROR, "the gateway itself failed over a connection or a deadline: a defect", "reason"
)
MIRROR_FAILED: Final = _event(
    "mirror.failed", _ERROR, "the gateway itself failed over a copy for a mirror: a defect", "reason"
)
PROCESS_FAILED: Final = _event(
    "process.failed", _ERROR, "a child process sent what is not understood, or failed: a defect", "process_name",
    "reason",
)  # fmt: skip
TASK_FAILED: Final = _event(
    "task.failed", _ERROR, "a background task of the gateway failed; endless ones begin again after `seconds`", "task",
    "reason", "seconds",
)  # fmt: skip
DESCRIPTORS_FEW: Final = _event(
    "descriptors.few", _WARNING, "RLIMIT_NOFILE is low, and so is the default of `limits.max_connections`",
    "descriptor_limit", "max_connections",
)  # fmt: skip

# -- the log itself

LOG_DROPPED: Final = _event("log.dropped", _WARNING, "lines were dropped: stderr was not read in time", "count")
LOG_CHANGED: Final = _event("log.changed", _WARNING, "a plugin changed the log of the gateway, which was undone")

EVENTS: Final[Mapping[str, Event]] = MappingProxyType(_table)
"""All of them, by name."""
