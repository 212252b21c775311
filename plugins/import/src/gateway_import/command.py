"""``gateway import FORMAT FILE``: configurations of other gateways on the command line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from gateway_import.failures import CannotImportError
from gateway_import.files import Files
from gateway_import.formats import FORMATS, load_format
from gateway_import.model import Finding, Imported
from gateway_import.writer import to_yaml

_PROBLEMS: Final = 1
_UNDECIDABLE: Final = 3
"""Exit statuses, as of the gateway's own commands."""


class _Formats(click.Group):
    """A command for each format; the overview imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click calls it so
        return sorted(FORMATS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click calls it so
        return _command(cmd_name) if cmd_name in FORMATS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click calls it so
        with formatter.section("Commands"):
            formatter.write_dl(sorted(FORMATS.items()) or [("", "")])


@click.group("import", cls=_Formats, short_help="Write a configuration out of another gateway's.")
def import_() -> None:
    """Read a configuration of another gateway, and write one that does the same.

    Each entry has a comment with the place that it comes from. What cannot be carried over is listed, in the document
    and on standard error, with the reason and what to do. A route whose guard cannot be carried over responds 403.
    """


_EXITS: Final = """
    Exit status: 0 if everything was carried over, 1 if something was lost, or FILE cannot be imported, 2 for wrong
    usage, 3 if a file cannot be read or written.
"""


def _command(name: str) -> click.Command:
    form = load_format(name)

    def run(file: str, output: Path | None, *, force: bool, strict: bool, as_json: bool, **options: Any) -> None:
        _run(name, file, output, force=force, strict=strict, as_json=as_json, options=options)

    params: list[click.Parameter] = [
        click.Argument(["file"], type=click.Path(allow_dash=True), metavar="FILE"),
        click.Option(
            ["-o", "--output", "output"],
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write the configuration to this file; to standard output unless given.",
        ),
        click.Option(["--force"], is_flag=True, help="Replace the file of --output if there is one."),
        click.Option(["--strict"], is_flag=True, help="Write nothing if something is lost."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the findings as JSON, on standard error."),
        *form.options,
    ]
    short = f"Import from {FORMATS[name]}"
    return click.Command(name, params=params, callback=run, help=f"{form.help}{_EXITS}", short_help=short)


def _run(
    name: str, file: str, output: Path | None, *, force: bool, strict: bool, as_json: bool, options: dict[str, Any]
) -> None:
    imported = _read(name, file, options)
    _report(imported.findings, as_json=as_json)
    if strict and imported.lost:
        _exit(f"nothing is written: {_count(imported.lost)} could not be carried over (--strict)", _PROBLEMS)
    _write(to_yaml(imported), output, force=force)
    if imported.lost:
        _exit(f"{_count(imported.lost)} could not be carried over", _PROBLEMS)


def _count(lost: list[Finding]) -> str:
    return "1 thing" if len(lost) == 1 else f"{len(lost)} things"


def _read(name: str, file: str, options: dict[str, Any]) -> Imported:
    files = Files(file)
    try:
        return load_format(name).read(files.first(), files, options)
    except CannotImportError as error:
        _exit(str(error), _PROBLEMS)
    except OSError as error:
        _exit(f"{file}: {error.strerror or error}", _UNDECIDABLE)


def _report(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "file": each.origin.file,
                "line": each.origin.line or None,
                "what": each.what,
                "reason": each.reason,
                "proposal": each.proposal,
                "guard": each.is_guard,
                "lost": each.is_lost,
            }
            for each in findings
        ]
        click.echo(json.dumps(rows, indent=2), err=True)
        return
    for each in findings:
        click.echo(f"{each.origin}: {'lost' if each.is_lost else 'note'}: {_printable(each.text)}", err=True)


def _printable(text: str) -> str:
    """Escape what a terminal would act on: names in the file may be anything."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _write(text: str, output: Path | None, *, force: bool) -> None:
    if output is None:
        try:
            # In UTF-8 whatever the locale: the gateway reads nothing else.
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # its reader has seen enough, which click ends quietly
        except OSError as error:
            _exit(f"standard output cannot be written: {error.strerror or error}", _UNDECIDABLE)
        return
    try:
        _write_file(text, output, force=force)
    except FileExistsError:
        _exit(f"{output} is there already: give another name, or --force to replace it", _UNDECIDABLE)
    except OSError as error:
        _exit(f"{output} cannot be written: {error.strerror or error}", _UNDECIDABLE)


def _write_file(text: str, output: Path, *, force: bool) -> None:
    """Write beside the file and move it there, so that no gateway ever reads a part of it."""
    if not force and os.path.lexists(output):
        raise FileExistsError(output)
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        beside.chmod(0o644 & ~_umask())
        if force:
            beside.replace(output)
        else:
            os.link(beside, output)  # which, unlike a rename, replaces nothing
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _exit(message: str, status: int) -> NoReturn:
    click.echo(_printable(message), err=True)
    raise SystemExit(status)
