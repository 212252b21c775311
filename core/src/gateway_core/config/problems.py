"""What is wrong with a configuration and where, in the words that every surface of the gateway shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from gateway_core.config.codes import remedy_of
from gateway_core.config.redaction import masked_line, without_credentials
from gateway_core.config.suggestions import Fault, counted, quote

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the top of the document, such as ``("routes", 3, "target")``."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_$-]+")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a source document; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


PlaceOf = Callable[[str], Place]
"""Looks up the place of a key path in text form, such as ``routes[3].target``."""


def format_path(path: Iterable[str | int]) -> str:
    """Write a key path as people read it: ``routes[3].plugins[0].config["odd key"]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


_STEP: Final = re.compile(r'\.?([A-Za-z0-9_$-]+)|\[(\d+)\]|\["(.*?)"\](?=$|[.\[])')


def parse_path(text: str) -> KeyPath:
    """Read what :func:`format_path` wrote; stops at the first part that is not a key path."""
    parts: list[str | int] = []
    position = 0
    while match := _STEP.match(text, position):
        key, index, quoted = match.groups()
        parts.append(int(index) if index is not None else key if key is not None else quoted)
        position = match.end()
    return tuple(parts)


Severity = Literal["error", "warning"]
"""Errors reject a configuration; warnings are printed, counted and shown."""

_WIDTH: Final = 120
_CONTEXT_BEFORE: Final = 60


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with the configuration, where to look, and what to do.

    ``excerpt`` is the source line at ``place``, or ``None`` when it is unknown or would show a secret. ``code`` names
    the kind for programs: one of `gateway_core.config.codes`, or ``PLUGIN.what`` from a plugin's own check. Programs
    decide by the fields; the message is for people only.
    """

    place: Place
    key_path: str
    message: str
    excerpt: str | None = None
    _: KW_ONLY
    code: str
    severity: Severity = "error"
    related: tuple[Place, ...] = ()
    """Other places that have a part in it, such as the first of two routes with one id."""
    remedy: str = ""
    """What to do about it; reads on behind the message. `codes.py` has what there is to say in general."""
    reporter: str = ""
    """Plugin or discovery that found it, with its version; empty for the gateway itself."""
    value: str | None = None
    """The text of the value as it is written, references as such; None for mappings, lists and secrets."""

    @property
    def is_error(self) -> bool:
        """Whether the configuration cannot be used because of it."""
        return self.severity == "error"

    @property
    def text(self) -> str:
        """Message, remedy and reporter as one line for people."""
        return _sentence(self.message, self.remedy, self.reporter)

    def __str__(self) -> str:
        where = f"{self.place}: {self.key_path}" if self.key_path else str(self.place)
        return f"{where}: {self.text}" if self.is_error else f"{where}: warning: {self.text}"

    def redacted(self) -> ConfigProblem:
        """Return the problem without what its texts seem to have as secrets."""
        message, remedy = without_credentials(self.message), without_credentials(self.remedy)
        excerpt = None if self.excerpt is None else masked_line(self.excerpt)
        if (message, remedy, excerpt) == (self.message, self.remedy, self.excerpt) and self.value is None:
            return self
        value = None if self.value is None or excerpt != self.excerpt else without_credentials(self.value)
        return replace(self, message=message, remedy=remedy, excerpt=excerpt, value=value)

    def render(self) -> str:
        """Return the problem as one line, followed by the source line with a caret under the place."""
        if self.excerpt is None or not self.place.line:
            return str(self)
        line, column = _crop(self.excerpt, self.place.column)
        number = f"{self.place.line:>6}"
        # A tab stays a tab, so that the caret lands under its character however wide the terminal draws it.
        padding = "".join("\t" if character == "\t" else " " for character in line[: column - 1])
        return f"{self}\n{number} | {line}\n{' ' * len(number)} | {padding}^"


def _crop(line: str, column: int) -> tuple[str, int]:
    start = max(0, column - _CONTEXT_BEFORE) if len(line) > _WIDTH else 0
    cropped = line[start : start + _WIDTH]
    prefix = "..." if start else ""
    suffix = "..." if start + _WIDTH < len(line) else ""
    return prefix + cropped + suffix, column - start + len(prefix)


def _sentence(message: str, remedy: str, reporter: str) -> str:
    text = f"{message}: {remedy}" if remedy else message
    return f"{text} ({reporter})" if reporter else text


class ConfigError(Exception):
    """A configuration that cannot be used; carries every problem that was found, sorted by place.

    ``problems`` are the errors; ``warnings`` are what was found beside them. ``files`` and ``directories`` are what was
    read or looked for, so that a watcher can wait for the repair.
    """

    def __init__(
        self, problems: Iterable[ConfigProblem], *, files: Iterable[Path] = (), directories: Iterable[Path] = ()
    ) -> None:
        everything = sort_problems(problem.redacted() for problem in problems)
        self.problems: tuple[ConfigProblem, ...] = tuple(problem for problem in everything if problem.is_error)
        self.warnings: tuple[ConfigProblem, ...] = tuple(problem for problem in everything if not problem.is_error)
        self.files: tuple[Path, ...] = tuple(files)
        self.directories: tuple[Path, ...] = tuple(directories)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def render(self) -> str:
        """Return all problems with their source lines."""
        return "\n".join(problem.render() for problem in self.problems)


def missing_files_as_warnings(problems: Iterable[ConfigProblem]) -> Iterator[ConfigProblem]:
    """Soften problems with files that are not there: on the machine that checks they need not be."""
    for problem in problems:
        # Plugins say it with a code of theirs, such as auth.file-missing.
        is_missing = problem.code == "file.missing" or problem.code.endswith(".file-missing")
        yield replace(problem, severity="warning") if is_missing else problem


def sort_problems(problems: Iterable[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """Sort by place and drop exact repetitions."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda problem: (problem.place, problem.key_path, problem.message)))


def render_problems(problems: Sequence[ConfigProblem]) -> str:
    """Return problems with their source lines, and how many there are of each severity."""
    return "\n".join([*(problem.render() for problem in problems), count_problems(problems)])


def count_problems(problems: Sequence[ConfigProblem]) -> str:
    """Return how many problems of each severity there are, as ``2 problems, 1 warning found``."""
    errors = sum(problem.is_error for problem in problems)
    numbers = [(errors, "problem"), (len(problems) - errors, "warning")]
    counts = [counted(number, noun) for number, noun in numbers if number]
    return f"{', '.join(counts) or 'no problems'} found"


def problem_as_json(problem: ConfigProblem) -> dict[str, Any]:
    """Return a problem as programs read it."""
    return {
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "key": problem.key_path,
        "message": problem.text,
        "remedy": problem.remedy or remedy_of(problem.code),
        "severity": problem.severity,
        "code": problem.code,
        "value": problem.value,
        "related": [{"file": place.file, "line": place.line, "column": place.column} for place in problem.related],
    }


def problem_to_json(problem: ConfigProblem) -> dict[str, Any]:
    """Return a problem as plain data for another process."""
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "key_path": problem.key_path,
        "message": problem.message,
        "excerpt": problem.excerpt,
        "code": problem.code,
        "severity": problem.severity,
        "related": [[place.file, place.line, place.column] for place in problem.related],
        "remedy": problem.remedy,
        "reporter": problem.reporter,
        "value": problem.value,
    }


def problem_from_json(entry: Mapping[str, Any]) -> ConfigProblem:
    """Undo `problem_to_json`."""
    place = Place(entry["file"], entry["line"], entry["column"])
    return ConfigProblem(
        place,
        entry["key_path"],
        entry["message"],
        entry["excerpt"],
        code=entry["code"],
        severity=entry["severity"],
        related=tuple(Place(*position) for position in entry["related"]),
        remedy=entry["remedy"],
        reporter=entry["reporter"],
        value=entry["value"],
    )


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """Something wrong with, or worth a warning about, the value at a key path within a configuration.

    ``path`` is relative to what was examined, such as ``("providers", 0, "secret")``; empty for all of it. The message
    is lower case, without a full stop, names the value (never a secret) and the remedy. ``code`` is stable, for
    programs: lower case words joined by ``-`` and ``.``.
    """

    path: KeyPath
    message: str
    _: KW_ONLY
    code: str
    severity: Severity = "error"
    remedy: str = ""
    """What to do about it, where that is not part of the message; it reads on behind it."""
    is_key: bool = False
    """It is about the last key of the path, not about its value."""

    @property
    def text(self) -> str:
        """Message and remedy as one line for people."""
        return _sentence(self.message, self.remedy, "")


def finding(path: KeyPath, fault: Fault, code: str, *, is_key: bool = False) -> ConfigFinding:
    """Return the finding of a fault."""
    return ConfigFinding(path, fault.reason, code=code, remedy=fault.remedy, is_key=is_key)


def unknown_key(path: KeyPath, remedy: str = "") -> ConfigFinding:
    """Return the finding of a key that there is not, the last one of a path."""
    return finding(path, Fault(f"unknown key {quote(str(path[-1]))}", remedy), "key.unknown", is_key=True)


def missing_key(path: KeyPath, remedy: str = "") -> ConfigFinding:
    """Return the finding of a key that is needed, the last one of a path."""
    return finding(path, Fault(f"{quote(str(path[-1]))} is missing", remedy), "key.missing")
