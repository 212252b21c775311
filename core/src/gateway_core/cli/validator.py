"""The validating process, ``gateway check --canonical``: comes to a verdict on each job that a gateway gives it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO, Final

from gateway_core.cli.job_server import serve_jobs
from gateway_core.cli.locked import check_lock
from gateway_core.cli.options import PROBLEMS
from gateway_core.config import ConfigError, Document, LoadedConfig
from gateway_core.config.sources import WatchSet
from gateway_core.packages import PluginRegistry, Published
from gateway_core.process.certificates import files_of
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.validation import NOTE, Verdict, read_job, verdict_lines
from gateway_core.snapshot import load, to_lines
from gateway_core.upstreams.transport import tls_files

WRITE_TIME: Final = 0.5
"""Seconds that a reload waits for a file that is cut off: an editor or a copy may still be writing it."""


def serve() -> None:
    """Do the jobs on standard input; verdicts go to standard output, and whatever else is printed to standard error."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        warm_up()
        serve_jobs(answer_job, sys.stdin.buffer, out)


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
    bundle = ConfigBundle(loaded.version, tuple(to_lines(loaded)), config.workers, registry.codes())
    certificates = [file for listen in config.listen if listen.tls is not None for file in files_of(listen.tls)]
    upstreams = tls_files(config.upstreams)
    return Verdict(WatchSet.of([*loaded.files, *certificates, *upstreams], loaded.directories), bundle)
