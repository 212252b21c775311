"""One valid configuration, as it travels between processes, and as it is kept on disk for ``gateway run --last-good``.

Local files never start with an older version unless that is asked for. It is written whenever a configuration is in
force, whether it will be asked for or not: who needs it knows so only afterwards. It holds the secrets of the
configuration, and only its owner may read it. A state directory that cannot be written is no fault unless it is needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway_core.config import ConfigProblem, LogConfig, problem_from_json, render_problems
from gateway_core.config.documents import LARGEST_FILE, read_regular
from gateway_core.config.sources import ConfigRoot, WatchSet
from gateway_core.config.sources.last_good import check_owner, write_private
from gateway_core.events import CONFIG_LAST_GOOD, CONFIG_NOT_KEPT, emit

PROTOCOL: Final = 2
"""Of what processes of the gateway say to each other: bundles, messages over channels, and what a program hands to the
one that takes its place. Another number is not understood; raise it with any change that the other side must know."""

FORMAT: Final = 1

_LONGEST: Final = 16 * LARGEST_FILE
"""A configuration of many files, with every default written out."""


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

    def log(self) -> LogConfig:
        """Return how the gateway's own log is written."""
        return LogConfig.model_validate(json.loads(self.lines[0])["config"].get("log", {}))

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


class LastBundle:
    """One file for what ``-c`` named."""

    def __init__(self, directory: Path, roots: Sequence[ConfigRoot], *, is_used: bool) -> None:
        """Name the file; nothing is read or written yet.

        :param is_used: whether a start may fall back to it.
        """
        names = "\n".join(str(root.resolve()) if isinstance(root, Path) else root.text for root in roots)
        self.path = directory / f"in-force-{hashlib.sha256(names.encode()).hexdigest()[:16]}.json"
        self._is_used = is_used
        self._saved = ""

    async def save(self, bundle: ConfigBundle) -> None:
        """Keep the configuration that is in force."""
        if bundle.version == self._saved:
            return
        try:
            await asyncio.to_thread(write_private, self.path, {"format": FORMAT, **bundle.to_plain()})
        except OSError as error:
            if self._is_used:
                text = f"the configuration in force cannot be kept in {self.path}: {error}"
                emit(CONFIG_NOT_KEPT, text, path=str(self.path), reason=str(error))
        else:
            self._saved = bundle.version

    async def load_after(self, problems: Sequence[ConfigProblem]) -> ConfigBundle | None:
        """Return what was in force last, if a start may use it instead of a configuration with these problems."""
        if not self._is_used:
            return None
        try:
            bundle = await asyncio.to_thread(self._load)
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = f"there is no last good configuration in {self.path}: {error}"
            emit(CONFIG_NOT_KEPT, text, path=str(self.path), reason=str(error))
            return None
        emit(
            CONFIG_LAST_GOOD,
            f"the configuration cannot be used, the one that was in force last is started from {self.path}",
            details=render_problems(problems),
            path=str(self.path),
            problems=len(problems),
        )
        return bundle

    def _load(self) -> ConfigBundle:
        check_owner(self.path.parent)
        check_owner(self.path)
        plain = json.loads(read_regular(self.path, _LONGEST))
        if plain["format"] != FORMAT or plain["protocol"] != PROTOCOL:
            raise ValueError("it is of another version of the gateway")
        return ConfigBundle.from_plain(plain)
