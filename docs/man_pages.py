"""Write the manual pages of the command line from the commands themselves, into man/ of their distributions.

python docs/man_pages.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from gateway_core import __version__
from gateway_core.cli.root import COMMANDS, gateway
from gateway_import.extension import gateway_commands as import_commands
from gateway_plugin_auth import Auth

_ROOT = Path(__file__).parents[1]
CORE = _ROOT / "core" / "man"
AUTH = _ROOT / "plugins" / "auth" / "man"
IMPORT = _ROOT / "plugins" / "import" / "man"
FOLDERS = (CORE, AUTH, IMPORT)

_EXIT = re.compile(r"Exit status: (.+)", re.DOTALL)
_EXITS = "0 fine, 1 problems were found, 2 wrong usage, 3 something could not be decided: unreachable, denied, timeout"


def pages() -> dict[Path, str]:
    """Return the pages by path."""
    context = click.Context(gateway, info_name="gateway")
    found = {CORE / "gateway.1": _page("gateway", gateway, context, COMMANDS)}
    for name in sorted(COMMANDS):
        command = gateway.get_command(context, name)
        assert command is not None
        found.update({CORE / file: text for file, text in _pages_of(f"gateway {name}", command)})
    for folder, commands in ((AUTH, Auth.gateway_commands()), (IMPORT, import_commands())):
        for command in commands:
            found.update({folder / file: text for file, text in _pages_of(f"gateway {command.name}", command)})
    return found


def _pages_of(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    """Yield the file and the text of a command's page, and of each command below it."""
    context = click.Context(command, info_name=name)
    yield f"{name.replace(' ', '-')}.1", _page(name, command, context, {})
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            part = command.get_command(context, sub)
            assert part is not None
            yield from _pages_of(f"{name} {sub}", part)


def _page(name: str, command: click.Command, context: click.Context, commands: dict[str, str]) -> str:
    text = inspect.cleandoc(command.help or "")
    exits = _EXIT.search(text)
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if part and not part.startswith("Exit status: ")]
    summary = (command.short_help or paragraphs[0].partition(". ")[0]).rstrip(".")
    lines = [
        f'.TH "{name.replace(" ", "-").upper()}" "1" "" "gateway {__version__}" "gateway"',
        ".SH NAME",
        f"{_escaped(name.replace(' ', '-'))} \\- {_escaped(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {_escaped(name)}",
        _escaped(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
    ]
    for number, paragraph in enumerate(paragraphs):
        lines += [*([".PP"] if number else []), _escaped(" ".join(paragraph.split()))]
    lines += [".SH OPTIONS", *_options(command, context)]
    if isinstance(command, click.Group) and not commands:
        commands = {sub: _short(command.get_command(context, sub)) for sub in command.list_commands(context)}
    if commands:
        lines.append(".SH COMMANDS")
        for sub, what in sorted(commands.items()):
            lines += [".TP", f".BR {_escaped(f'{name} {sub}'.replace(' ', '-'))} (1)", _escaped(what)]
    lines += [".SH EXIT STATUS", _escaped(" ".join((exits[1] if exits else _EXITS).split()).rstrip(".") + ".")]
    if name == "gateway":
        lines += [
            ".SH ENVIRONMENT",
            ".TP",
            ".B XDG_RUNTIME_DIR",
            _escaped("where control sockets are, by which commands find running gateways"),
            ".TP",
            ".BR STATE_DIRECTORY , XDG_STATE_HOME",
            _escaped("where the last good configuration is kept"),
        ]
    others = ["gateway(1)"] if name != "gateway" else []
    if others:
        lines += [".SH SEE ALSO", ".BR gateway (1)"]
    return "\n".join(lines) + "\n"


def _short(command: click.Command | None) -> str:
    return "" if command is None else command.get_short_help_str(200)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    # What click adds for help depends on the context in which a command was first looked at, so it is not taken.
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = record
            yield from (".TP", f".B {_escaped(names)}", _escaped(" ".join(text.split())))
    yield from (".TP", f".B {_escaped('-h, --help')}", "Show help and exit.")


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    for folder in FOLDERS:
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.1"):
            old.unlink()
    for path, content in pages().items():
        path.write_text(content, "utf-8")
