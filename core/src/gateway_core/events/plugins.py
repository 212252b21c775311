"""Events of plugins, and the libraries that they use."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, INFO, WARNING, define

PLUGINS_CHANGED: Final = define("plugins.changed", INFO, "plugins were installed, changed or removed", "change")
PLUGINS_UNREADABLE: Final = define(
    "plugins.unreadable", WARNING, "what is installed cannot be read now, as for want of descriptors: what was seen "
    "last counts", "reason",
)  # fmt: skip
PLUGINS_WARNING: Final = define("plugins.warning", WARNING, "an installed extension cannot be used", "reason")
PLUGIN_LOG: Final = define(
    "plugin.log", INFO, "a line that a plugin or an extension writes itself, by its logger `gateway.plugin.NAME`; the "
    "level is the plugin's", "plugin",
)  # fmt: skip
LIBRARY_LOG: Final = define(
    "library.log", INFO, "a line of a library that the gateway or a plugin uses; `logger` names it, and the level is "
    "the library's",
)  # fmt: skip
PLUGIN_CALL_REFUSED: Final = define(
    "plugin.call_refused", WARNING, "a plugin tried to change what belongs to the gateway's process, such as a "
    "handler of a signal", "reason",
)  # fmt: skip
PLUGIN_EXITED: Final = define(
    "plugin.exited", ERROR, "code in the process called `os._exit`, which ends it at once", "status", "file"
)
LOOP_STOPPED: Final = define("loop.stopped", ERROR, "a plugin's task stopped the event loop, which goes on", "reason")
PLUGIN_SHADOW: Final = define(
    "plugin.shadow", INFO, "a binding in shadow mode would have decided otherwise", "plugin", "binding", "request_id",
    "trace_id", "reason",
)  # fmt: skip
PLUGIN_FAILED: Final = define(
    "plugin.failed", ERROR, "a hook raised, took too long, or returned what it may not", "plugin", "binding", "phase",
    "request_id", "trace_id", "reason", "count",
)  # fmt: skip
PLUGIN_QUARANTINED: Final = define(
    "plugin.quarantined", ERROR, "a binding keeps failing, and is not called for a while", "plugin", "binding",
    "phase", "seconds",
)  # fmt: skip
PLUGIN_RECOVERED: Final = define(
    "plugin.recovered", WARNING, "a binding in quarantine works again", "plugin", "binding"
)
PLUGIN_BLOCKED_LOOP: Final = define(
    "plugin.blocked_loop", WARNING, "a hook held up every other request for longer than `blocking_threshold`",
    "plugin", "phase", "seconds", "file", "count",
)  # fmt: skip
PLUGIN_TASK_FAILED: Final = define(
    "plugin.task_failed", ERROR, "a background task that a plugin started ended with an exception", "plugin",
    "binding", "reason", "count",
)  # fmt: skip
PLUGIN_STOP_FAILED: Final = define(
    "plugin.stop_failed", ERROR, "`stop` of a plugin raised, or took too long, as did a task that it left", "plugin",
    "reason",
)  # fmt: skip
PLUGIN_SURROUNDINGS: Final = define(
    "plugin.surroundings", WARNING, "a plugin changed the working directory or removed variables of the environment, "
    "which was undone", "reason",
)  # fmt: skip
PLUGIN_BODY_FAILED: Final = define(
    "plugin.body_failed", ERROR, "what a plugin gave as a body, or a filter of it, failed", "request_id", "trace_id",
    "reason",
)  # fmt: skip
PLUGIN_START_FAILED: Final = define(
    "plugin.start_failed", ERROR, "`start` of a plugin raised what is no `OSError`; the configuration is not applied",
    "plugin", "reason",
)  # fmt: skip
