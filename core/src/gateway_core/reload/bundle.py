"""What a reload hands on: a valid configuration as it travels between processes, and the verdict that it is one.

Validating is a job for another process: neither parsing nor the code of plugins disturbs the process that asks. What
does the job is handed to who needs it (`Validator`); jobs, verdicts and bundles travel as plain data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from gateway_core.config import ConfigProblem, Document, DocumentFormat, LogConfig, problem_from_json, problem_to_json
from gateway_core.config.sources import Seen, WatchSet
from gateway_core.errors import GatewayError

PROTOCOL: Final = 3
"""Of what processes of the gateway say to each other: bundles, messages over channels, and what a program hands to the
one that takes its place. Another number is not understood; raise it with any change that the other side must know."""


@dataclass(frozen=True, slots=True)
class ConfigBundle:
    """One valid configuration, as it travels between processes."""

    version: str
    lines: tuple[bytes, ...]
    """JSON documents: the head, then the parts (`LoadedConfig.to_lines`)."""

    workers: int = 1
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Version and digest of each plugin that the configuration uses, by name, as the validating process found it."""

    protocol: int = PROTOCOL
    """Of the code that made it: what is installed may be another version than what runs."""

    def watch(self) -> WatchSet:
        """Return the files that the configuration was read from."""
        head = json.loads(self.lines[0])
        return WatchSet.of(head["files"], head["directories"])

    def has_remote_documents(self, but: str = "") -> bool:
        """Whether something in it is written in a document that is no file.

        :param but: the name of one that does not count.
        """
        head = json.loads(self.lines[0])
        return not {Path(name) for name in head["place_files"]} <= {Path(name) for name in [*head["files"], but]}

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

        :raises LookupError, TypeError, AttributeError, ValueError: it is none.
        """
        lines = tuple(line.encode() for line in plain["lines"])
        return cls(str(plain["version"]), lines, int(plain["workers"]), dict(plain["plugins"]), int(plain["protocol"]))

    @classmethod
    def kept(cls, plain: Mapping[str, Any]) -> ConfigBundle:
        """Undo `to_plain` for what was on a disk, where any line may be damaged.

        :raises LookupError, TypeError, AttributeError, ValueError: it is none.
        """
        bundle = cls.from_plain(plain)
        for line in bundle.lines:
            json.loads(line)
        return bundle


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What a program leaves to the one that takes its place."""

    seen: Seen = field(default_factory=Seen)
    """What was in the files when it looked at them last."""
    requested: Sequence[str] = ()
    """What reloads were requested for that have not begun."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the validating process found: either ``bundle`` is there, or ``problems`` are."""

    watch: WatchSet
    bundle: ConfigBundle | None = None
    problems: tuple[ConfigProblem, ...] = ()

    @property
    def blames_plugins(self) -> bool:
        """Whether something is wrong with a plugin, or one is not installed."""
        return any(
            problem.reporter or problem.code.startswith("plugin.") or problem.code.endswith(".not-installed")
            for problem in self.problems
        )


class ValidationFailedError(GatewayError):
    """The validating process did not come to a verdict."""


class ValidationHungError(ValidationFailedError):
    """The validating process did not come to an end."""


class Validator(Protocol):
    """What comes to a verdict."""

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate the configuration at these paths and in these documents of sources.

        :raises ValidationFailedError: there is no verdict.
        :raises OSError: the system has no process, memory or descriptors for it.
        """


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict without the lines of its bundle as JSON has it."""
    files = sorted(str(path) for path in verdict.watch.files)
    directories = sorted(str(path) for path in verdict.watch.directories)
    fields: dict[str, Any] = {"files": files, "directories": directories}
    if verdict.bundle is None:
        return {**fields, "problems": [problem_to_json(problem) for problem in verdict.problems]}
    return {**fields, **verdict.bundle.facts(), "lines": len(verdict.bundle.lines)}


def read_verdict(fields: Mapping[str, Any], lines: Sequence[bytes]) -> Verdict:
    """Undo `verdict_fields`.

    :param lines: those of the bundle.
    :raises ValueError: something is missing or garbled.
    """
    try:
        watch = WatchSet.of(fields["files"], fields["directories"])
        if "problems" in fields:
            return Verdict(watch, problems=tuple(problem_from_json(entry) for entry in fields["problems"]))
        if fields["lines"] != len(lines):
            raise ValueError(f"{len(lines)} lines of {fields['lines']}")
        facts = fields["version"], tuple(lines), fields["workers"], fields["plugins"], fields["protocol"]
        return Verdict(watch, ConfigBundle(*facts))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a verdict without {error}") from error


def write_job(paths: Sequence[Path], documents: Sequence[Document]) -> bytes:
    """Write a job for a validating process."""
    return json.dumps(
        {
            "paths": [str(path) for path in paths],
            "documents": [{**document_to_plain(each), "rights": sorted(each.rights)} for each in documents],
        }
    ).encode()


def read_job(data: bytes) -> tuple[tuple[Path, ...], tuple[Document, ...]]:
    """Undo `write_job`.

    :raises ValueError: it is no job.
    """
    job = json.loads(data)
    documents = [replace(document_from_plain(each), rights=frozenset(each["rights"])) for each in job["documents"]]
    return tuple(Path(path) for path in job["paths"]), tuple(documents)


def document_to_plain(document: Document) -> dict[str, Any]:
    """Return a document of a source as plain data."""
    return {"name": document.name, "text": document.text, "format": document.format.value}


def document_from_plain(entry: Mapping[str, Any]) -> Document:
    """Undo `document_to_plain`."""
    return Document(str(entry["name"]), str(entry["text"]), DocumentFormat(entry["format"]))


def check_protocol(bundle: ConfigBundle) -> None:
    """Refuse what another version of the gateway has validated: its successor would not understand this process either.

    :raises GatewayError: the installed version is not compatible with the one that runs.
    """
    if bundle.protocol != PROTOCOL:
        raise GatewayError(
            f"the gateway that is installed now speaks protocol {bundle.protocol}, the one that runs {PROTOCOL}, "
            "so that it cannot take over: stop the gateway and start it, or install the version that runs"
        )
