"""``gateway import nginx``: a file of nginx, with what it includes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.model import Imported


def read(source: SourceText, files: Files, _: Mapping[str, Any]) -> Imported:
    """Import a configuration of nginx.

    :raises CannotImportError: it is none, it is broken, or it includes what is not below its folder.
    """
    from gateway_import.nginx.importer import NginxImporter  # noqa: PLC0415 - so that the overview needs no parser

    return NginxImporter(source, files).run()


FORMAT: Final = Format(
    read,
    "Read nginx.conf, or a file with servers; what it includes is read below its folder. Locations become routes "
    "in nginx's order of matching, by priorities.\n",
)
