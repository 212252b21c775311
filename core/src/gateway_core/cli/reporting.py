"""Loading a configuration, and how its problems are reported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn

import click

from gateway_core.cli.options import PROBLEMS, UNDECIDABLE, print_json
from gateway_core.cli.progress import progress
from gateway_core.config import (
    ConfigError,
    ConfigProblem,
    Document,
    LoadedConfig,
    Place,
    problem_as_json,
    render_problems,
    sort_problems,
)
from gateway_core.config.documents import comes_of_a_missing_file
from gateway_core.config.source import ConfigRoot, SourceUrl, paths_of, urls_of
from gateway_core.config.sources.factories import configured_urls, with_configured
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

_NOT_DECIDED: Final = frozenset({"source.unavailable", "file.unreadable"})
"""Codes that say nothing of the configuration: what it depends on could not be looked at."""


def load_or_exit(roots: tuple[ConfigRoot, ...], registry: PluginRegistry, *, as_json: bool = False) -> LoadedConfig:
    """Load a configuration; print its problems and exit with status 1 or 3 if it has any."""
    try:
        with progress(f"loading {', '.join(map(str, roots))}"):
            documents = fetch_sources(sources_of(roots, os.environ))
            return load(paths_of(roots), registry=registry, environ=os.environ, documents=documents)
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


def sources_of(roots: Sequence[ConfigRoot], environ: Mapping[str, str]) -> tuple[SourceUrl, ...]:
    """Return the sources of the command line, and those that its files name."""
    return with_configured(urls_of(tuple(roots)), configured_urls(paths_of(tuple(roots)), environ))


def fetch_sources(urls: Sequence[SourceUrl], *, offline: bool = False) -> Sequence[Document]:
    """Return what sources say at this moment. Blocks.

    :param offline: ask none, and only see that their URLs can be used.
    :raises ConfigError: one of them cannot be used, or does not respond.
    """
    if not urls:
        return ()
    # It costs more than checking most files.
    from gateway_core.reload.source_feeds import (  # noqa: PLC0415
        SourceError,
        SourceUnavailableError,
        check_options,
        fetch_documents,
    )

    try:
        return check_options(urls) if offline else fetch_documents(urls)
    except SourceError as error:
        code = "source.unavailable" if isinstance(error, SourceUnavailableError) else "source.invalid"
        code = "file.missing" if code == "source.invalid" and comes_of_a_missing_file(error) else code
        raise ConfigError([ConfigProblem(Place(error.source), "", error.reason, code=code)]) from error
