"""Events of configurations, and the sources that they come from."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, INFO, WARNING, define

SOURCE_STALE: Final = define(
    "source.stale", WARNING, "a source of configuration is unreachable; its last documents stay in force", "source",
    "reason",
)  # fmt: skip
SOURCE_AWAITED: Final = define(
    "source.awaited", WARNING, "a start waits for a source of configuration, of which it has no earlier documents",
    "source", "reason",
)  # fmt: skip
SOURCE_RECOVERED: Final = define("source.recovered", INFO, "a source of configuration responds again", "source")
CONFIG_APPLIED: Final = define(
    "config.applied", INFO, "a reload put a configuration in force; the message names what changed", "trigger",
    "version",
)  # fmt: skip
CONFIG_REJECTED: Final = define(
    "config.rejected", ERROR, "a reload found problems, which follow as `details`; the old configuration stays in "
    "force", "trigger", "problems",
)  # fmt: skip
CONFIG_PINNED: Final = define(
    "config.pinned", WARNING, "what files and sources have was validated and is not applied, as a version is pinned",
    "number", "by", "problems",
)  # fmt: skip
CONFIG_FAILED: Final = define(
    "config.failed", ERROR, "a reload could not be done, for a reason that is not the configuration's; the old one "
    "stays in force", "trigger", "reason",
)  # fmt: skip
CONFIG_WARNINGS: Final = define(
    "config.warnings", WARNING, "the configuration in force has warnings, which follow as `details`", "problems"
)
CONFIG_LAST_GOOD: Final = define(
    "config.last_good", ERROR, "the configuration has problems, and the last good one was started (`--last-good`)",
    "path", "problems",
)  # fmt: skip
CONFIG_NOT_KEPT: Final = define(
    "config.not_kept", ERROR, "the last good configuration or document cannot be written to or read from the state "
    "directory, or endpoints that were found last cannot be read from it", "path", "reason",
)  # fmt: skip
CONFIG_WATCH_POLLS: Final = define(
    "config.watch_polls", WARNING, "the system cannot report changes of files, which are compared instead", "reason",
    "seconds",
)  # fmt: skip
DOCUMENTS_REJECTED: Final = define(
    "documents.rejected", ERROR, "documents of sources have problems; their last good versions stay in force, and "
    "those without one are left out", "documents", "problems",
)  # fmt: skip
SOURCE_CACHED: Final = define(
    "source.cached", WARNING, "a source is unreachable at the start; its last good documents are used", "source",
    "reason", "path",
)  # fmt: skip
