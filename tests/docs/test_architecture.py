"""What ARCHITECTURE.md says of the code is true of it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from gateway_core.cli.root import COMMANDS
from gateway_core.hooks.process_hooks import ProcessHooks
from gateway_core.hookspecs import RequestHooks

from tests.docs.blocks import blocks_of

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "src" / "gateway_core"
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"\b[\w/.-]+\.py\b", TEXT)) | set(re.findall(r"`([\w.-]+(?:/[\w.-]+)*/)`", TEXT))
    # A name without a folder follows one that has it, as in `upstreams/health.py`, `breaker.py`.
    lost = [name for name in named if not any((root / name).exists() for root in (CORE, ROOT)) and not below(name)]

    assert [name for name in lost if "NAME" not in name] == []


def below(name: str) -> bool:
    return "/" not in name and any(CORE.rglob(name))


def test_its_layers_are_those_that_are_checked() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".importlinter")
    checked = [line.split(" | ") for line in settings["importlinter:contract:layers"]["layers"].strip().splitlines()]

    lines = TEXT.split("has the same list).\n\n", 1)[1].split("\n\n", 1)[0].splitlines()
    told = [re.split(r"\s{2,}", line.strip())[0].split(" | ") for line in lines]

    assert told == checked


@pytest.mark.parametrize("hook", [name for hooks in (RequestHooks, ProcessHooks) for name in vars(hooks)])
def test_every_hook_is_placed(hook: str) -> None:
    assert not hook.startswith("gateway_") or f"`{hook}`" in TEXT


def test_the_page_of_the_command_line_has_every_command() -> None:
    table = (ROOT / "docs" / "command-line.md").read_text().split("## Commands", 1)[1]

    assert [name for name in COMMANDS if f"`gateway {name}" not in table] == []


@pytest.mark.parametrize(("page", "prefix"), [("README.md", ""), ("docs/plugins.md", "../")])
def test_the_readme_and_the_list_have_every_plugin(page: str, prefix: str) -> None:
    text = (ROOT / page).read_text()
    # A folder without an entry point is a library of some plugins.
    published = [path.parent for path in ROOT.glob("plugins/*/pyproject.toml") if "gateway.plugins" in path.read_text()]
    plugins = [folder.name for folder in published]

    assert [name for name in plugins if f"]({prefix}plugins/{name}/README.md)" not in text] == []


def test_contributing_names_only_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:tests|core|docs|examples|benchmarks)/[\w/.-]*)`", text)

    assert len(named) > 10
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_blocks_that_are_only_for_reading_say_so() -> None:
    """`sh` means that a test runs it: what nobody can run is a `console` with its prompt."""
    consoles = [block for page in ROOT.glob("*.md") for block in blocks_of(page) if block.language == "console"]

    assert [block.place for block in consoles if not all(line[:2] == "$ " for line in block.text.splitlines())] == []
