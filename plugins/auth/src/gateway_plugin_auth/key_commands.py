"""``gateway auth key new|list|revoke``: files of API keys on the command line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from gateway_plugin_sdk import Duration
from gateway_tokens.reading import read_file
from pydantic import TypeAdapter, ValidationError

from gateway_plugin_auth.config.api_key import ApiKeyEntry, moment_of
from gateway_plugin_auth.key_changes import add_key, make_key, revoke_key
from gateway_plugin_auth.key_file import read_entries

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_PROBLEMS: Final = 1
_UNDECIDABLE: Final = 3
"""Exit statuses, as of the gateway's own commands."""

_DURATION: Final = TypeAdapter[float](Duration)
_PREFIX: Final = re.compile("[A-Za-z0-9-]{1,32}")


@click.group("auth", short_help="Make, list and revoke API keys.")
def auth() -> None:
    """Manage the callers that the plugin auth knows."""


@auth.group("key", short_help="Make, list and revoke API keys.")
def key() -> None:
    """Manage files of API keys, which are keys_file of the plugin auth.

    A file has the SHA-256 of each key, and none of the keys. A running gateway takes a change within ten seconds.
    """


def _printable(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    for text in (value,) if isinstance(value, str) else value:
        if not text.strip() or not text.isprintable():
            raise click.BadParameter("give it printable characters")
    return value


def _prefix(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise click.BadParameter("give it 1 to 32 letters, digits and dashes")
    return value


def _end(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    now = _now()
    try:
        end = now + timedelta(seconds=_DURATION.validate_python(value))
        text = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValidationError:
        try:
            end, text = moment_of(value), value
        except ValueError as error:
            raise click.BadParameter(f"{error}, or 90d for days from now") from None
    if end <= now:
        raise click.BadParameter(f"{value!r} is not in the future")
    return text


def _claims(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for text in values:
        name, _, value = text.partition("=")
        try:
            claims[name] = json.loads(value)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{text!r} is not NAME=JSON, such as tier='\"gold\"'")
    return claims


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@key.command("new", short_help="Make a key, print it once, and add its hash to a file.")
@click.argument("file", type=_FILE)
@click.option("--subject", required=True, callback=_printable, help="The caller's name.")
@click.option("--group", "groups", multiple=True, callback=_printable, help="A group of the caller; may be repeated.")
@click.option("--scope", "scopes", multiple=True, callback=_printable, help="A scope of the caller; may be repeated.")
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME=JSON", callback=_claims, help="Another claim; may be repeated."
)
@click.option(
    "--expires",
    metavar="DURATION|TIME",
    callback=_end,
    help="When it ends: 90d from now, or an ISO 8601 time with its zone.",
)
@click.option("--prefix", default="gw", show_default=True, callback=_prefix, help="What the key begins with.")
@_json_option
def new(
    file: Path,
    subject: str,
    groups: tuple[str, ...],
    scopes: tuple[str, ...],
    claims: dict[str, Any],
    expires: str | None,
    prefix: str,
    *,
    as_json: bool,
) -> None:
    """Make a key for a caller, print it, and add its hash to FILE.

    The key is printed on standard output, once: it is kept nowhere. A FILE that is not there is made, and only its
    owner may read it: run this as the gateway's user.

    Exit status: 0 if the key is in the file, 1 if the file is not one of keys, 2 for wrong usage, 3 if the file cannot
    be read or written, or the key cannot be printed.
    """
    if groups:
        claims["groups"] = list(groups)
    if scopes:
        claims["scope"] = " ".join(scopes)
    made = make_key(prefix)
    with _problems(file):
        add_key(file, made, subject, claims, expires)
    click.echo(f"key {made.id} of {subject} is in {file}; the key itself is shown only now", err=True)
    shown = {"id": made.id, "key": made.key, "subject": subject, "expires": expires, "claims": claims}
    _print(_as_json(shown) if as_json else made.key, f"; revoke {made.id}, and make another key")


@key.command("list", short_help="List the keys of a file.")
@click.argument("file", type=_FILE)
@_json_option
def list_keys(file: Path, *, as_json: bool) -> None:
    """List the keys of FILE: id, caller, state, end and claims.

    Exit status: 0 fine, 1 if the file is not one of keys, 2 for wrong usage, 3 if it cannot be read.
    """
    with _problems(file):
        rows = [_row(entry, _now().timestamp()) for entry in read_entries(read_file(str(file)))]
    if as_json:
        _print(_as_json(rows))
    elif not rows:
        _print("no keys")
    else:
        cells = [("ID", "SUBJECT", "STATE", "EXPIRES", "CLAIMS"), *(_cells(row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
        _print("\n".join(line.rstrip() for line in lines))


def _row(entry: ApiKeyEntry, now: float) -> dict[str, Any]:
    expires_at = entry.expires_at()
    is_over = expires_at is not None and expires_at <= now
    return {
        "id": entry.shown_id(),
        "subject": entry.subject,
        "state": "revoked" if entry.revoked else "expired" if is_over else "active",
        "expires": entry.expires,
        "claims": entry.claims,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    claims = json.dumps(row["claims"], ensure_ascii=False) if row["claims"] else "-"
    return row["id"], row["subject"], row["state"], row["expires"] or "-", claims


@key.command("revoke", short_help="Mark a key of a file as revoked.")
@click.argument("file", type=_FILE)
@click.argument("key_id", metavar="ID")
def revoke(file: Path, key_id: str) -> None:
    """Mark the key of FILE with an ID as revoked.

    `gateway auth key list` shows the ids. The key stays in the file, so that the log names it when it is still used;
    delete its line when that is of no interest any more.

    Exit status: 0 if the key is revoked, 1 if there is no such key or the file is not one of keys, 2 for wrong usage, 3
    if the file cannot be read or written.
    """
    with _problems(file):
        revoke_key(file, key_id)
    click.echo(f"key {key_id} is revoked in {file}", err=True)


@contextmanager
def _problems(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _exit(f"{file}: {error.strerror or error}", _UNDECIDABLE)
    except ValueError as error:
        _exit(f"{file}: {error}", _PROBLEMS)


def _as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _print(text: str, remedy: str = "") -> None:
    try:
        click.echo(text)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and not remedy:
            raise  # its reader has seen enough, which click ends quietly
        # Python writes what is left when it ends, and would complain again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        _exit(f"standard output cannot be written: {error.strerror or error}{remedy}", _UNDECIDABLE)


def _exit(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(status)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a command has no clock but the machine's
