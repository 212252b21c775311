"""What ``gateway check`` found, in the forms that programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway_core import __version__
from gateway_core.cli.examination import Examination
from gateway_core.config import ConfigProblem, Place, problem_as_json
from gateway_core.config.codes import CODES, remedy_of

_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(found: Examination) -> dict[str, Any]:
    """Return everything that was found, with the configuration's version and files if it is valid."""
    result: dict[str, Any] = {"ok": found.is_fine}
    if found.is_fine and found.loaded is not None:
        result |= {"version": found.loaded.version, "files": [str(path) for path in found.loaded.files]}
    return result | {"problems": [problem_as_json(problem) for problem in found.problems]}


def as_annotations(found: Examination) -> Iterator[str]:
    """Yield workflow commands of GitHub Actions, which show problems beside the lines of a pull request."""
    for problem in found.problems:
        place = problem.place
        parts = {"file": _relative(place.file), "line": place.line, "col": place.column, "title": problem.code}
        properties = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in parts.items() if value)
        where = f"{problem.key_path}: " if problem.key_path else ""
        yield f"::{problem.severity} {properties}::{_escaped(where + problem.text)}"


def _escaped(text: str, further: str = "") -> str:
    for character in ("%", "\r", "\n", *further):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def as_sarif(found: Examination) -> dict[str, Any]:
    """Return a log of SARIF 2.1.0, which code scanners and editors read."""
    rules = [_rule(code) for code in sorted({problem.code for problem in found.problems})]
    driver = {"name": "gateway", "version": __version__, "rules": rules}
    results = [_result(problem) for problem in found.problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    known = CODES.get(code)
    if known is None:  # a plugin's own
        return {"id": code}
    return {"id": code, "shortDescription": {"text": known.meaning}, "help": {"text": known.remedy}}


def _result(problem: ConfigProblem) -> dict[str, Any]:
    where = f"{problem.key_path}: " if problem.key_path else ""
    result = {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": where + problem.text},
        "locations": [_location(problem.place)],
        "properties": {"key": problem.key_path, "remedy": problem.remedy or remedy_of(problem.code)},
    }
    if problem.related:
        result["relatedLocations"] = [_location(place) for place in problem.related]
    return result


def _location(place: Place) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.file)}}
    if place.line:
        location["region"] = {"startLine": place.line, "startColumn": max(place.column, 1)}
    return {"physicalLocation": location}


def _uri(file: str) -> str:
    """Return the URI of a file (RFC 3986), relative to the directory of the run if it is below it, or of a source."""
    if "://" in file:
        return quote(file, safe=":/?#[]@!$&'()*+,;=%~")
    path = Path(_relative(file))
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _relative(file: str) -> str:
    """Return a path as it is from the working directory, if it is below it: so that hosts of code find it."""
    path = Path(file)
    is_below = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if is_below else file
