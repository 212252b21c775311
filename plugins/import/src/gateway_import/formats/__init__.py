"""The formats that can be imported: each is a module of its own, imported when it is used.

A module has ``FORMAT``, a `Format`. `FORMATS` names it, so that the overview of the command imports none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway_import.files import Files, SourceText
from gateway_import.model import Imported

if TYPE_CHECKING:
    import click

FORMATS: Final[dict[str, str]] = {
    "kong": "Kong: a declarative configuration, or one of decK.",
    "krakend": "KrakenD: versions 2 and 3, without templates.",
    "nginx": "nginx: nginx.conf, and files with servers.",
    "openapi": "OpenAPI 3.0 and 3.1: a document.",
    "traefik": "Traefik 2 and 3: a dynamic configuration.",
}
"""Names of modules in this package, with what the overview says of them."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format that can be imported."""

    read: Callable[[SourceText, Files, Mapping[str, Any]], Imported]
    """Takes the first file, what further files are read with, and the values of `options` by name.

    :raises CannotImportError: the file is none of this format, of a version that is not known, or broken.
    """
    help: str
    """What ``--help`` says: what is read, in which versions."""
    options: Sequence[click.Parameter] = ()
    """Options of this format alone."""


def load_format(name: str) -> Format:
    """Import a format's module."""
    found: Format = importlib.import_module(f"{__name__}.{name}").FORMAT
    return found
