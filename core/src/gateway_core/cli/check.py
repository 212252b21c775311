"""``gateway check``."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import BinaryIO

import click

from gateway_core.cli.job_server import serve_jobs
from gateway_core.cli.locked import check_lock
from gateway_core.cli.options import PROBLEMS, config_option, json_option, print_json
from gateway_core.cli.reporting import load_or_exit, problem_as_json, report_and_exit
from gateway_core.config import ConfigError, ConfigProblem, Document, LoadedConfig
from gateway_core.config.sources import ConfigRoot, WatchSet
from gateway_core.plugins import PluginRegistry, Published
from gateway_core.server.tls import CertificateError, files_of, load_certificates
from gateway_core.server.validation import NOTE, Canonical, Verdict, read_job, verdict_lines
from gateway_core.snapshot import load, to_lines
from gateway_core.snapshot.changes import counted
from gateway_core.snapshot.settings import tls_files, tls_settings
from gateway_core.upstreams.transport import make_tls_context, unusable


@click.command("check", short_help="Check a configuration and print every problem in it.")
@config_option
@json_option
@click.option("--canonical", is_flag=True, hidden=True, help="Do jobs on stdin for the serving process.")
def command(roots: tuple[ConfigRoot, ...], *, as_json: bool, canonical: bool) -> None:
    """Check a configuration as `run` and a reload do, and print every problem with its place.

    Exit status: 0 if it is good, 1 if there are problems.
    """
    if canonical:
        with os.fdopen(os.dup(1), "wb") as out:
            os.dup2(2, 1)
            warm_up()
            serve_jobs(answer_job, sys.stdin.buffer, out)
        return
    loaded = load_or_exit(roots, PluginRegistry(), as_json=as_json)
    if problems := certificate_problems(loaded):
        report_and_exit(problems, as_json=as_json)
    config = loaded.config
    if as_json:
        warnings = [problem_as_json(warning) for warning in loaded.warnings]
        files = [str(path) for path in loaded.files]
        print_json({"ok": True, "version": loaded.version, "files": files, "problems": warnings})
    else:
        for warning in loaded.warnings:
            click.echo(warning.render(), err=True)
        names = ", ".join(str(path) for path in roots)
        held = f"{counted(len(config.routes), 'route')}, {counted(len(config.upstreams), 'upstream')}"
        also = f", {counted(len(loaded.warnings), 'warning')}" if loaded.warnings else ""
        click.echo(f"{names}: fine, {held}{also}")


def certificate_problems(loaded: LoadedConfig) -> tuple[ConfigProblem, ...]:
    """Return what is wrong with the certificate files of listeners and upstreams. Blocks.

    A job for the serving process goes without: that reads them itself when it applies a configuration, and waits for
    files that are missing.
    """
    problems = []
    for index, listen in enumerate(loaded.config.listen):
        try:
            if listen.tls is not None:
                load_certificates(listen.tls)
        except CertificateError as error:
            key_path = f"listen[{index}].tls"
            problems.append(ConfigProblem(loaded.place_of(key_path), key_path, str(error), code="tls.unusable"))
    for index, upstream in enumerate(loaded.config.upstreams):
        settings = tls_settings(upstream)
        try:
            if settings.files:
                make_tls_context(settings)
        except (OSError, ssl.SSLError) as error:
            key_path = f"upstreams[{index}].tls"
            message = unusable(settings, error)
            problems.append(ConfigProblem(loaded.place_of(key_path), key_path, message, code="tls.unusable"))
    return tuple(problems)


def answer_job(job: bytes, out: BinaryIO) -> int:
    """Do what `gateway_core.server.validation` asks; return the exit status."""
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
    """Print what `gateway_core.server.validation` reads; return the exit status."""
    try:
        loaded = load(paths, registry=registry, environ=os.environ, documents=documents)
        check_lock(loaded, os.environ)
        verdict = good_verdict(loaded, registry)
    except ConfigError as error:
        verdict = Verdict(WatchSet.of(error.files, error.directories), problems=error.problems)
    out.writelines(line + b"\n" for line in verdict_lines(verdict))
    return 0 if verdict.canonical is not None else PROBLEMS


def good_verdict(loaded: LoadedConfig, registry: PluginRegistry) -> Verdict:
    """Return the verdict on a configuration that has no problems."""
    config = loaded.config
    # What was loaded without being bound are extensions, whose code runs in the serving processes as well.
    canonical = Canonical(loaded.version, tuple(to_lines(loaded)), config.workers, registry.codes())
    certificates = [file for listen in config.listen if listen.tls is not None for file in files_of(listen.tls)]
    upstreams = tls_files(config.upstreams)
    return Verdict(WatchSet.of([*loaded.files, *certificates, *upstreams], loaded.directories), canonical)
