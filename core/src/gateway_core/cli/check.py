"""``gateway check``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from gateway_core.cli.examination import Examination, examine
from gateway_core.cli.job_server import serve_jobs
from gateway_core.cli.locked import check_lock
from gateway_core.cli.options import PROBLEMS, config_option, echo, json_option, print_json
from gateway_core.cli.reporting import exit_status
from gateway_core.config import ConfigError, Document, LoadedConfig, problem_as_json, render_problems
from gateway_core.config.sources import ConfigRoot, WatchSet
from gateway_core.packages import PluginRegistry, Published
from gateway_core.process.certificates import files_of
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.validation import NOTE, Verdict, read_job, verdict_lines
from gateway_core.snapshot import load, to_lines
from gateway_core.snapshot.changes import counted
from gateway_core.upstreams.transport import tls_files

WRITE_TIME: Final = 0.5
"""Seconds that a reload waits for a file that is cut off: an editor or a copy may still be writing it."""


@click.command("check", short_help="Check a configuration and print every problem in it.")
@config_option
@json_option
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--offline", is_flag=True, help="Ask no source, and only warn of files that are missing.")
@click.option("--canonical", is_flag=True, hidden=True, help="Do jobs on stdin for the serving process.")
def command(roots: tuple[ConfigRoot, ...], *, as_json: bool, strict: bool, offline: bool, canonical: bool) -> None:
    """Check a configuration as `run` and a reload do, and print every problem with its place.

    Warnings do not reject a configuration: it is valid, and something in it is unlikely to be meant.

    Exit status: 0 if it is good, 1 if there are errors, 3 if a source did not respond or a file could not be read.
    """
    if canonical:
        with os.fdopen(os.dup(1), "wb") as out:
            os.dup2(2, 1)
            warm_up()
            serve_jobs(answer_job, sys.stdin.buffer, out)
        return
    found = examine(roots, PluginRegistry(), offline=offline)
    found = found.strict() if strict else found
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, ", ".join(str(root) for root in roots))
    raise SystemExit(exit_status(found.problems))


def _as_json(found: Examination) -> dict[str, Any]:
    told: dict[str, Any] = {"ok": found.is_fine}
    if found.is_fine and found.loaded is not None:
        told |= {"version": found.loaded.version, "files": [str(path) for path in found.loaded.files]}
    return told | {"problems": [problem_as_json(problem) for problem in found.problems]}


def _print(found: Examination, names: str) -> None:
    if not found.is_fine:
        click.echo(render_problems(found.problems), err=True)
        return
    for warning in found.problems:
        click.echo(warning.render(), err=True)
    parts = ["fine"]
    if found.loaded is not None:
        config = found.loaded.config
        parts += [counted(len(config.routes), "route"), counted(len(config.upstreams), "upstream")]
    if found.problems:
        parts.append(counted(len(found.problems), "warning"))
    echo(f"{names}: {', '.join(parts)}")


def answer_job(job: bytes, out: BinaryIO) -> int:
    """Do what `gateway_core.reload.validation` asks; return the exit status."""
    paths, documents = read_job(job)

    def note(published: Published) -> None:
        about = f"importing plugin {published.name!r} of {published.distribution} {published.version}"
        out.write(NOTE + about.encode() + b"\n")
        out.flush()

    return print_verdict(paths, documents, PluginRegistry(on_load=note), out)


def warm_up() -> None:
    """Import everything that a validation needs, short of plugins: those must be the ones of when there is a job."""
    nothing_installed = PluginRegistry(find=dict)
    load(
        (), registry=nothing_installed, environ={}, documents=[Document("", "routes: [{path: /, target: 'http://x'}]")]
    )


def print_verdict(
    paths: tuple[Path, ...], documents: tuple[Document, ...], registry: PluginRegistry, out: BinaryIO
) -> int:
    """Print what `gateway_core.reload.validation` reads; return the exit status."""
    try:
        check_lock(paths, os.environ)
        loaded = load(paths, registry=registry, environ=os.environ, documents=documents, patience=WRITE_TIME)
        verdict = good_verdict(loaded, registry)
    except ConfigError as error:
        verdict = Verdict(WatchSet.of(error.files, error.directories), problems=error.problems)
    out.writelines(line + b"\n" for line in verdict_lines(verdict))
    return 0 if verdict.bundle is not None else PROBLEMS


def good_verdict(loaded: LoadedConfig, registry: PluginRegistry) -> Verdict:
    """Return the verdict on a configuration that has no problems."""
    config = loaded.config
    # What was loaded without being bound are extensions, whose code runs in the serving processes as well.
    canonical = ConfigBundle(loaded.version, tuple(to_lines(loaded)), config.workers, registry.codes())
    certificates = [file for listen in config.listen if listen.tls is not None for file in files_of(listen.tls)]
    upstreams = tls_files(config.upstreams)
    return Verdict(WatchSet.of([*loaded.files, *certificates, *upstreams], loaded.directories), canonical)
