"""Loading a configuration, and how its problems are reported."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import click

from gateway_core.cli.options import PROBLEMS, print_json
from gateway_core.config import ConfigError, ConfigProblem, LoadedConfig, Place, sort_problems
from gateway_core.config.sources import ConfigRoot, paths_of, urls_of
from gateway_core.plugins import PluginRegistry
from gateway_core.server.source_opening import SourceError, fetch_documents
from gateway_core.snapshot import load
from gateway_core.snapshot.changes import counted


def load_or_exit(roots: tuple[ConfigRoot, ...], registry: PluginRegistry, *, as_json: bool = False) -> LoadedConfig:
    """Load a configuration; print its problems and exit with status 1 if it has any."""
    try:
        documents = fetch_documents(urls_of(roots))
        return load(paths_of(roots), registry=registry, environ=os.environ, documents=documents)
    except SourceError as error:
        report_and_exit(
            (ConfigProblem(Place(error.source), "", error.reason, code="source.unavailable"),), as_json=as_json
        )
    except ConfigError as error:
        report_and_exit(sort_problems([*error.problems, *error.warnings]), as_json=as_json)


def report_and_exit(problems: tuple[ConfigProblem, ...], *, as_json: bool = False) -> NoReturn:
    """Print problems, as JSON on stdout or for people on stderr, and exit with status 1."""
    if as_json:
        print_json({"ok": False, "problems": [problem_as_json(problem) for problem in problems]})
    else:
        click.echo(rendered(problems), err=True)
    raise SystemExit(PROBLEMS)


def rendered(problems: tuple[ConfigProblem, ...]) -> str:
    """Return problems with their source lines, and how many there are."""
    errors = sum(problem.is_error for problem in problems)
    count = f"{counted(errors, 'problem')} found"
    if errors < len(problems):
        count += f", {counted(len(problems) - errors, 'warning')}"
    return "\n".join([*(problem.render() for problem in problems), count])


def problem_as_json(problem: ConfigProblem) -> dict[str, Any]:
    """Return a problem as programs read it."""
    return {
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "key": problem.key_path,
        "message": problem.message,
        "severity": problem.severity,
        "code": problem.code,
    }
