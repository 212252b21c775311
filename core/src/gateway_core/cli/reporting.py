"""Loading a configuration, and how its problems are reported."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, NoReturn

import click

from gateway_core.cli.options import PROBLEMS, UNDECIDABLE, print_json
from gateway_core.config import (
    ConfigError,
    ConfigProblem,
    LoadedConfig,
    Place,
    problem_as_json,
    render_problems,
    sort_problems,
)
from gateway_core.config.sources import ConfigRoot, configured_urls, paths_of, urls_of, with_configured
from gateway_core.packages import PluginRegistry
from gateway_core.reload.source_opening import SourceError, SourceUnavailableError, fetch_documents
from gateway_core.snapshot import load

_NOT_DECIDED: Final = frozenset({"source.unavailable", "file.unreadable"})
"""Codes that say nothing of the configuration: what it depends on could not be looked at."""


def load_or_exit(roots: tuple[ConfigRoot, ...], registry: PluginRegistry, *, as_json: bool = False) -> LoadedConfig:
    """Load a configuration; print its problems and exit with status 1 or 3 if it has any."""
    try:
        configured = configured_urls(paths_of(roots), os.environ)
        documents = fetch_documents(with_configured(urls_of(roots), configured))
        return load(paths_of(roots), registry=registry, environ=os.environ, documents=documents)
    except SourceError as error:
        report_and_exit((source_problem(error),), as_json=as_json)
    except ConfigError as error:
        report_and_exit(sort_problems([*error.problems, *error.warnings]), as_json=as_json)


def report_and_exit(problems: tuple[ConfigProblem, ...], *, as_json: bool = False) -> NoReturn:
    """Print problems, as JSON on stdout or for people on stderr, and exit as `exit_status` says."""
    if as_json:
        print_json({"ok": False, "problems": [problem_as_json(problem) for problem in problems]})
    else:
        click.echo(render_problems(problems), err=True)
    raise SystemExit(exit_status(problems))


def exit_status(problems: Iterable[ConfigProblem]) -> int:
    """Return 0 if there are no errors, 1 for those of the configuration, 3 if there are only those of reading it."""
    errors = {problem.code for problem in problems if problem.is_error}
    if not errors:
        return 0
    return UNDECIDABLE if errors <= _NOT_DECIDED else PROBLEMS


def source_problem(error: SourceError) -> ConfigProblem:
    """Return what is wrong with a source as a problem."""
    code = "source.unavailable" if isinstance(error, SourceUnavailableError) else "source.invalid"
    return ConfigProblem(Place(error.source), "", error.reason, code=code)
