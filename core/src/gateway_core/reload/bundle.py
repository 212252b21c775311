"""One valid configuration, as it travels between processes and to disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway_core.config import ConfigProblem, problem_from_json
from gateway_core.config.sources import WatchSet

PROTOCOL: Final = 2
"""Of what processes of the gateway say to each other: bundles, messages over channels, and what a program hands to the
one that takes its place. Another number is not understood; raise it with any change that the other side must know."""


@dataclass(frozen=True, slots=True)
class ConfigBundle:
    """One valid configuration, as it travels between processes."""

    version: str
    lines: tuple[bytes, ...]
    """JSON documents: the head, then the parts (see ``gateway_core.snapshot.transfer``)."""

    workers: int = 1
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Version and digest of each plugin that the configuration uses, by name, as the validating process found it."""

    protocol: int = PROTOCOL
    """Of the code that made it: what is installed may be another version than what runs."""

    def watch(self) -> WatchSet:
        """Return the files that the configuration was read from."""
        head = json.loads(self.lines[0])
        return WatchSet.of(head["files"], head["directories"])

    def has_remote_documents(self) -> bool:
        """Whether something in it is written in a document that is no file."""
        head = json.loads(self.lines[0])
        return not {Path(name) for name in head["place_files"]} <= {Path(name) for name in head["files"]}

    def warnings(self) -> tuple[ConfigProblem, ...]:
        """Return what was found in the configuration that does not reject it."""
        return tuple(problem_from_json(entry) for entry in json.loads(self.lines[0]).get("warnings", ()))

    def facts(self) -> dict[str, Any]:
        """Return all but the lines as JSON has it."""
        return {
            "protocol": self.protocol,
            "version": self.version,
            "workers": self.workers,
            "plugins": dict(self.plugins),
        }

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self.facts(), "lines": [line.decode() for line in self.lines]}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ConfigBundle:
        """Undo `to_plain`.

        :raises KeyError: something is missing.
        """
        lines = tuple(line.encode() for line in plain["lines"])
        return cls(plain["version"], lines, plain["workers"], plain["plugins"], plain["protocol"])
