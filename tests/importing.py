"""What tests of `gateway import` do with a written configuration: read it, check it, name what was lost."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line
from gateway_core.config.documents import ALL_RIGHTS, Document
from gateway_core.config.substitution import Substitution
from gateway_core.config.yaml_constructor import Constructor
from gateway_core.config.yaml_nodes import compose
from gateway_import.files import Files
from gateway_import.formats import load_format
from gateway_import.model import Imported
from gateway_import.writer import to_yaml
from gateway_plugin_sdk.testing import RunningGateway, StartGateway


def read_back(text: str, environ: Mapping[str, str] | None = None) -> Any:
    """Return the values that the gateway reads in a document."""
    problems: list[object] = []
    root = compose("written.yaml", text)
    assert root is not None
    document = Document("written.yaml", text, rights=ALL_RIGHTS)
    constructor = Constructor(
        Substitution(environ or {}), lambda *found, **more: problems.append((found, more)), lambda _name: document
    )
    value = constructor.construct(root)
    assert problems == []
    return value


def files_of(text: str) -> Files:
    """Return a text as if it stood on standard input."""
    return Files("-", stdin=io.BytesIO(text.encode()))


def import_text(name: str, text: str, **options: object) -> Imported:
    """Import a text as if it stood on standard input."""
    files = files_of(text)
    return load_format(name).read(files.first(), files, options)


def losses(imported: Imported) -> list[tuple[int, str]]:
    """Return line and subject of what was lost; guards begin with an exclamation mark."""
    return [(each.origin.line, f"{'!' * each.is_guard}{each.what}") for each in imported.lost]


def written(imported: Imported) -> Any:
    """Return the document that is written, as the gateway reads it, with each variable as ``<NAME>``."""
    names = [each.name for each in imported.variables]
    return read_back(to_yaml(imported), {name: f"<{name}>" for name in names})


def check(imported: Imported, folder: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    """Write a configuration and run `gateway check` on it; returns the errors that it finds."""
    file = folder / "written.yaml"
    file.write_text(to_yaml(imported))
    given = {
        each.name: "a secret of the tests that is long enough for HS512, which wants 64 bytes"
        for each in imported.variables
    }
    with mock.patch.dict(os.environ, {**given, **(environ or {})}):
        result = CliRunner().invoke(command_line, ["check", "-c", str(file), "--json", "--offline"])
    problems = json.loads(result.stdout)["problems"]
    return [f"{each['code']}: {each['message']}" for each in problems if each["severity"] == "error"]


def started(gateway: StartGateway, imported: Imported, **environ: str) -> RunningGateway:
    """Start a gateway with a written configuration, on a free port instead of its own."""
    with mock.patch.dict(os.environ, environ):
        return gateway(to_yaml(replace(imported, listeners=[])))


def server(*lines: str, before: str = "", name: str = "a.com") -> str:
    """Return a file of nginx with one server, whose lines begin in the third line."""
    return f"{before}\nserver {{ listen 80; server_name {name};\n" + "\n".join(lines) + "\n}\n"


def bindings(route: dict[str, Any]) -> dict[str, Any]:
    """Return the configurations of a route's bindings, by their ids."""
    return {each.get("id", each["name"]): each["config"] for each in route.get("plugins", [])}
