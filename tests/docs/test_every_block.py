"""Every block of the site is valid: configurations load, commands have their options, imported names exist."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import click
import pytest
import yaml
from gateway_core.cli.root import gateway
from gateway_core.config import ConfigError, ConfigProblem, Document, DocumentFormat
from gateway_core.config.documents import ALL_RIGHTS
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

from tests.docs.blocks import Block, blocks_of

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
        *(ROOT / "examples").rglob("README.md"),
    ]
)
BLOCKS: Final = [(page, block) for page in PAGES for block in blocks_of(page)]

OTHER_PROGRAMS: Final = (
    {"scrape_configs"},  # Prometheus
    {"apiVersion"},  # Kubernetes, Grafana
    {"steps"},  # workflows
    {"openapi"},
    {"_format_version"},  # Kong
    {"consumers"},  # a file of `authorize`
)
"""Keys by which YAML is known that is no configuration of the gateway."""

NOT_INSTALLED: Final = {
    "plugin.not-installed",
    "strategy.not-installed",
    "discovery.not-installed",
    "certificates.unknown",
}
IDENTITY: Final = "- {name: auth, config: {secret: a-secret-of-32-bytes-for-the-examples}}\n"


def blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(page, block, id=f"{page.relative_to(ROOT)}:{block.line}")
        for page, block in BLOCKS
        if block.language in languages
    ]


@pytest.mark.parametrize(("page", "block"), blocks("yaml"))
def test_a_configuration_loads(page: Path, block: Block) -> None:
    value = next(yaml.safe_load_all(block.text))
    if isinstance(value, dict) and any(keys <= value.keys() for keys in OTHER_PROGRAMS):
        return

    # A list is a list of bindings, as they stand in a route's `plugins`.
    text = (
        block.text
        if isinstance(value, dict)
        else f"plugins:\n{indent(IDENTITY * needs_identity(value) + block.text, '  ')}"
    )

    assert [f"{found}" for found in problems_of(text) if not is_made_on(page, found)] == []


def needs_identity(bindings: list[dict[str, Any]]) -> bool:
    return bool(bindings[0]["name"] == "authorize")


def problems_of(text: str) -> list[ConfigProblem]:
    """Return the errors of a configuration whose files are elsewhere, with every variable set that has no default.

    What they have is Base64 of as many bytes as the longest of secrets needs.
    """
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "QUJD" * 24)
    document = Document("example.yaml", text, DocumentFormat.YAML, ROOT, ALL_RIGHTS)
    try:
        load([], registry=registry(), environ=environ, documents=[document], offline=True)
    except ConfigError as error:
        return [problem for problem in error.problems if problem.is_error]
    return []


@cache
def registry() -> PluginRegistry:
    found = PluginRegistry()
    found.scan()
    return found


def is_made_on(page: Path, problem: ConfigProblem) -> bool:
    """Whether what is not installed is what the page, or the project that it belongs to, shows how to write."""
    project = page.parent if (page.parent / "pyproject.toml").exists() else page
    files = [page] if project is page else [each for each in project.rglob("*") if each.suffix in (".py", ".toml")]
    text = "".join(each.read_text("utf-8") for each in files)
    names = re.findall(r'"([a-z-]+)"', problem.message)
    return problem.code in NOT_INSTALLED and any(f'"{name}"' in text or f"plugins new {name}" in text for name in names)


@pytest.mark.parametrize(("page", "block"), blocks("sh", "console"))
def test_a_command_of_the_gateway_exists_with_its_options(page: Path, block: Block) -> None:
    for words in commands_of(block):
        command: click.Command = gateway
        context = click.Context(gateway, info_name="gateway")
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, f"{page.name}: {context.command_path} has no command {name}"
            command, context = found, click.Context(found, context, name)
        if "--help" not in words:
            command.make_parser(context).parse_args(words)


def commands_of(block: Block) -> Iterator[list[str]]:
    """Yield the words behind each `gateway` that begins a command."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line[:2] in ("$ ", "# ")]
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        begins = True
        while words:
            word = words.pop(0)
            if begins and word == "gateway":
                rest = []
                while words and not set(words[0]) <= set("|&;<>()"):
                    rest.append(words.pop(0))
                yield rest
            begins = set(word) <= set("|&;()") or (begins and "=" in word)


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_python_imports_what_there_is(page: Path, block: Block) -> None:
    for node in ast.walk(ast.parse(block.text, page.name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateway_"):
            if is_of_a_project(page, node.module or ""):
                continue
            module = importlib.import_module(node.module or "")
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def is_of_a_project(page: Path, module: str) -> bool:
    """Whether the page has its readers make this module."""
    made = re.findall(r"gateway plugins new ([a-z-]+)", page.read_text("utf-8"))
    return module in {f"gateway_plugin_{name.replace('-', '_')}" for name in made}


@pytest.mark.parametrize(("page", "block"), blocks("json", "toml"))
def test_data_can_be_read(page: Path, block: Block) -> None:  # its name is in the test's
    {"json": json.loads, "toml": tomllib.loads}[block.language](block.text)
