"""Events of the gateway's processes, tasks and log."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, INFO, WARNING, define

SERVER_LISTENING: Final = define(
    "server.listening", INFO, "the gateway is ready on an address; in text only `listening on URL`", "url", "version",
    "admin", "workers",
)  # fmt: skip
SERVER_NOT_STARTED: Final = define(
    "server.not_started", ERROR, "the gateway cannot start, and ends; in text only the reason", "reason"
)
SERVER_STOPPING: Final = define(
    "server.stopping", INFO, "the gateway drains and ends", "signal", "shutdown_timeout", "drain_delay"
)
SERVER_STOPPED_AT_ONCE: Final = define(
    "server.stopped_at_once", WARNING, "a second signal came, or requests took longer than `shutdown_timeout`"
)
SERVER_NOT_ENDING: Final = define(
    "server.not_ending", ERROR, "something keeps the process from ending, which is cut short", "reason"
)
SERVER_RESTARTING: Final = define(
    "server.restarting", INFO, "a new program takes over, for SIGUSR2 or because running code changed", "reason"
)
SERVER_RESTARTED: Final = define("server.restarted", INFO, "a new program has taken over", "version", "urls", "admin")
SERVER_NOT_RESTARTED: Final = define(
    "server.not_restarted", ERROR, "a restart was asked for and refused; the running program goes on", "reason"
)
WORKER_ENDED: Final = define(
    "worker.ended", ERROR, "a worker ended unexpectedly and is replaced", "worker", "pid", "status"
)
WORKER_REPLACED: Final = define("worker.replaced", INFO, "a worker serves in place of one that ended", "worker", "pid")
WORKER_NOT_REPLACED: Final = define(
    "worker.not_replaced", ERROR, "a worker cannot be started; it is tried again", "worker", "reason"
)
WORKER_KILLED: Final = define(
    "worker.killed", WARNING, "a worker did not respond or drain in time, and was killed", "worker", "pid"
)
WORKER_ORPHANED: Final = define(
    "worker.orphaned", WARNING, "the supervisor is gone; the worker drains and ends", "worker"
)
WORKER_CALL_FAILED: Final = define(
    "worker.call_failed", ERROR, "a call of the supervisor failed in a worker: a defect", "call", "reason"
)
WATCHER_ENDED: Final = define(
    "watcher.ended", ERROR, "the process of discovery and health checks ended and is started again", "reason"
)
WATCHER_NOT_STARTED: Final = define(
    "watcher.not_started", ERROR, "the process of discovery and health checks cannot be started yet", "reason"
)
SHARED_FOLDER_MISSING: Final = define(
    "shared_folder.missing", WARNING, "workers have no folder to share counters in", "reason"
)
PROCESS_FAILED: Final = define(
    "process.failed", ERROR, "a child process sent what is not understood, or failed: a defect", "process_name",
    "reason",
)  # fmt: skip
PROCESS_SLOW: Final = define(
    "process.slow", WARNING, "a process has been waited for long, and is waited for on: the machine may be busy",
    "process_name", "pid", "seconds",
)  # fmt: skip
TASK_FAILED: Final = define(
    "task.failed", ERROR, "a background task of the gateway failed; endless ones begin again after `seconds`", "task",
    "reason", "seconds",
)  # fmt: skip
DESCRIPTORS_FEW: Final = define(
    "descriptors.few", WARNING, "RLIMIT_NOFILE is low, and so is the default of `limits.max_connections`",
    "descriptor_limit", "max_connections",
)  # fmt: skip
LOG_DROPPED: Final = define("log.dropped", WARNING, "lines were dropped: stderr was not read in time", "count")
LOG_CHANGED: Final = define("log.changed", WARNING, "a plugin changed the log of the gateway, which was undone")
