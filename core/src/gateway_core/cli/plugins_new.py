"""``gateway plugins new``."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from gateway_core import __version__
from gateway_core.cli.options import PROBLEMS

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 50
_PREFIX: Final = "gateway-plugin-"
_SUFFIX: Final = ".tmpl"
_PLACEHOLDER: Final = re.compile(r"%([A-Z_]+)%")

_TAKEN_CLASSES: Final = {
    *("ConfigModel", "HeaderName", "HeaderValue", "InvalidConfigError", "Plugin", "PluginHarness", "Request"),
    *("Response", "ScriptedUpstream", "StartGateway"),
    *keyword.kwlist,
    *dir(builtins),
}
"""Names that the template itself uses, or Python does."""


@dataclass(frozen=True, slots=True)
class Names:
    """What everything in the new package is called."""

    name: str

    @property
    def distribution(self) -> str:
        return f"{_PREFIX}{self.name}"

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        camel = "".join(part.capitalize() for part in self.name.split("-"))
        return f"{camel}Plugin" if camel in _TAKEN_CLASSES else camel

    def values(self) -> Mapping[str, str]:
        """Return what stands for each placeholder of the template."""
        major, minor, *_ = __version__.split(".")
        return {
            "NAME": self.name,
            "DISTRIBUTION": self.distribution,
            "PACKAGE": self.package,
            "CLASS": self.class_name,
            "SERIES": f"{major}.{minor}",
            "NEXT_SERIES": f"{major}.{int(minor) + 1}" if major == "0" else str(int(major) + 1),
        }


def name_problem(name: str) -> str | None:
    """Return why a name cannot be a plugin's, or None."""
    if name.startswith(_PREFIX):
        return f"{name!r} is a distribution's name: leave out {_PREFIX!r}, it is put in front by itself"
    if len(name) > _LONGEST_NAME:
        return f"{name!r} has {len(name)} characters: use {_LONGEST_NAME} at most"
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a plugin's name: use small letters and digits, with single hyphens between words"
    return None


def files(names: Names) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the new package."""
    values = names.values()

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text)

    for path, source in _sources(resources.files("gateway_core.cli").joinpath("template"), ""):
        yield filled(path.removesuffix(_SUFFIX)), filled(source.read_text("utf-8"))


def _sources(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for each in sorted(folder.iterdir(), key=lambda found: found.name):
        if each.is_dir():
            yield from _sources(each, f"{path}{each.name}/")
        elif each.name.endswith(_SUFFIX):
            yield f"{path}{each.name}", each


@click.command("new", short_help="Write the package of a new plugin.")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Where to write it; {_PREFIX}NAME in the current directory unless given.",
)
def command(name: str, directory: Path | None) -> None:
    """Write the package of a new plugin: code, tests, README, CI, and an example to run.

    Nothing is overwritten. Exit status: 2 if NAME cannot be a plugin's name, 1 if there is something in the directory.
    """
    if (problem := name_problem(name)) is not None:
        raise click.BadParameter(problem, param_hint="NAME")
    names = Names(name)
    folder = directory or Path(names.distribution)
    if folder.exists() and any(folder.iterdir()):
        click.echo(f"the directory {str(folder)!r} is not empty: name another with --directory", err=True)
        raise SystemExit(PROBLEMS)
    try:
        for path, text in files(names):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    except OSError as error:
        click.echo(f"cannot write {str(error.filename)!r}: {(error.strerror or str(error)).lower()}", err=True)
        raise SystemExit(PROBLEMS) from None
    click.echo(what_is_next(names, folder))


def what_is_next(names: Names, folder: Path) -> str:
    """Return the commands to go on with."""
    return "\n".join(
        [
            f"wrote {folder}/; the code is in src/{names.package}/plugin.py. Next:",
            "",
            f"    cd {folder}",
            "    gateway dev                     # run it, and follow every file that you save",
            "    pytest                          # run its tests (pip install pytest)",
            '    pip install -e ".[dev]"         # make it known to every gateway of this environment',
        ]
    )
