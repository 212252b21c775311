"""``gateway plugins install``."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from gateway_core.cli.options import PROBLEMS, echo
from gateway_core.cli.progress import progress
from gateway_core.packages import published_plugins
from gateway_core.packages.constraints import constraints, explain_conflict, installed_distributions, names_of
from gateway_core.packages.installer import Installer, find_installer

Plugins = Mapping[str, Mapping[str, Any]]
"""What ``gateway plugins list --json`` says, by name."""

_MOST_LINES: Final = 20
"""Lines of what the installer says that are passed on."""


@click.command(
    "install",
    short_help="Install plugins into the gateway's environment.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("distributions", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "-c",
    "--config",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A configuration that must go on to be good; what would not fit any more is named before anything happens.",
)
@click.option("--force", is_flag=True, help="Install even what the configuration does not fit.")
def command(distributions: tuple[str, ...], paths: tuple[Path, ...], *, force: bool) -> None:
    """Install distributions by pip, then check in a fresh process that every plugin still loads.

    What pip understands may be given: requirements, folders, wheels and pip's own options. Nothing is installed that
    would change the gateway, or a version of what it or an installed plugin requires. A running gateway notices new
    plugins by itself. uv does it in an environment that uv made, or that has no pip, with its own options.

    Exit status: 1 if pip fails, a plugin does not load, or a configuration is not good any more.
    """
    installer = find_installer()
    if installer is None:
        click.echo(
            f"there is neither pip for {sys.executable} nor uv on the PATH: run {sys.executable} -m ensurepip, "
            "or install by your own tool",
            err=True,
        )
        raise SystemExit(PROBLEMS)
    if paths and not force and (problems := trial(installer, distributions, paths)):
        click.echo("\n".join(problems), err=True)
        click.echo("nothing was installed: change the configuration first, or use --force", err=True)
        raise SystemExit(PROBLEMS)
    before = _plugins()
    if failure := install(installer, distributions):
        click.echo("\n".join(failure), err=True)
        raise SystemExit(PROBLEMS)
    after = _plugins()
    for line in news(before, after):
        echo(line)
    broken = [f"{name} does not load: {plugin['error']}" for name, plugin in after.items() if plugin["error"]]
    for line in broken:
        click.echo(line, err=True)
    if not _is_good(paths) or broken:
        raise SystemExit(PROBLEMS)


def install(installer: Installer, arguments: Sequence[str]) -> list[str]:
    """Install within what the gateway needs; return what went wrong, in lines."""
    installed = installed_distributions()
    publishing = {each.distribution for found in published_plugins().values() for each in found}
    needed = constraints(installed, publishing, names_of(arguments))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("".join(f"{each.text}\n" for each in needed), "utf-8")
        command = [*installer.install, "-c", str(file), *arguments]
        with progress(f"{installer.name} installs"):
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # what the operator wants to have installed
    if not done.returncode:
        return []
    importlib.invalidate_caches()
    is_changed = installed_distributions() != installed
    lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
    _, caused, cause = done.stdout.partition("The conflict is caused by:\n")
    if caused:
        lines += cause.partition("\n\n")[0].splitlines()
    needs = explain_conflict(done.stdout + done.stderr, needed)
    state = f"some distributions were changed: look at `{installer.check}`" if is_changed else "nothing was changed"
    return [*lines[:_MOST_LINES], *needs, f"{installer.name} could not install them; {state}"]


def news(before: Plugins, after: Plugins) -> Iterator[str]:
    """Yield what an installation changed, one line each."""
    changes = []
    for name, plugin in after.items():
        old, label = before.get(name), f"{plugin['distribution']} {plugin['version']}"
        if old is None:
            changes.append(f"new: {name} ({label})")
        elif old["version"] != plugin["version"]:
            changes.append(
                f"changed: {name} ({old['version']} -> {label}): a gateway that runs it takes it over by itself"
            )
        elif old["schema"] != plugin["schema"]:
            changes.append(f"changed: {name} ({label}) takes another configuration")
        elif old.get("code") != plugin.get("code"):
            changes.append(f"changed: {name} ({label} with other code): a gateway that runs it takes it over by itself")
    changes += [f"gone: {name}" for name in before if name not in after]
    yield from changes or ["no plugin is new"]


def trial(installer: Installer, distributions: tuple[str, ...], paths: tuple[Path, ...]) -> list[str]:
    """Return what a configuration's options for plugins would have wrong with these distributions.

    They are put into a folder of their own, which a fresh process looks into first. Nothing is said of what a plugin
    lacks there: its own requirements are not tried.
    """
    with TemporaryDirectory() as folder:
        command = [*installer.install, "--quiet", "--no-deps", "--target", folder, *distributions]
        with progress("trying the configuration with what is to be installed"):
            tried = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
        if tried.returncode:
            return []  # it will say why when it is asked in earnest; an editable installation cannot be tried
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH", ""))))
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        check = [*_check_command(paths), "--json"]
        report = subprocess.run(check, env=environ, capture_output=True, text=True, check=False).stdout  # noqa: S603
    try:
        problems = json.loads(report).get("problems", ())
    except ValueError:
        return []
    return [
        f"{each['file']}:{each['line']}:{each['column']}: {each['key']}: {each['message']}"
        for each in problems
        if ".config" in each["key"]
    ]


def _plugins() -> dict[str, dict[str, Any]]:
    """List the plugins as a process does that starts now."""
    shown = subprocess.run(  # our own command
        [sys.executable, "-m", "gateway_core.cli", "plugins", "list", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return {plugin["name"]: plugin for plugin in json.loads(shown.stdout)}
    except ValueError:
        click.echo(f"the plugins cannot be listed any more:\n{shown.stderr.strip()}", err=True)
        raise SystemExit(PROBLEMS) from None


def _is_good(paths: tuple[Path, ...]) -> bool:
    if not paths:
        return True
    return subprocess.run(_check_command(paths), check=False).returncode == 0  # noqa: S603  # our own command


def _check_command(paths: tuple[Path, ...]) -> list[str]:
    return [sys.executable, "-m", "gateway_core.cli", "check", *(part for path in paths for part in ("-c", str(path)))]
