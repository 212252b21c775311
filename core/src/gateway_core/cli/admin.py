"""``gateway admin``: tokens of the admin API, made, listed and revoked."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from gateway_core.cli.options import PROBLEMS, UNDECIDABLE, echo, json_option, print_json
from gateway_core.clock import SystemClock
from gateway_core.config.models.admin import AdminRole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway_core.admin.tokens import KeptToken, TokenFile

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_ROLES: Final = get_args(AdminRole)


def _lifetime(_context: click.Context, _option: click.Parameter, value: str) -> float | None:
    """Read ``90d``, ``12h``, ``30m`` or ``never``."""
    if value == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time: write for example 90d, 12h or 30m")
    return float(int(found[1]) * _UNITS[found[2]])


state_option = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The state directory of the gateway, as `gateway run --state` names it.",
)


@click.group("admin", short_help="Make, list and revoke tokens of the admin API.")
def command() -> None:
    """Work with what the admin API of a gateway needs."""


@command.group("token")
def token_commands() -> None:
    """Make, list and revoke tokens.

    Only their hashes are kept, in the state directory. A gateway takes a new token, and refuses a revoked one, at once.
    """


@token_commands.command("new")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    help="What it may do; viewer unless given, or with --overlap what the token that it replaces may do.",
)
@click.option("--tail", is_flag=True, help="It may watch single requests, which no role includes.")
@click.option(
    "--expires",
    "lifetime",
    default="90d",
    show_default=True,
    metavar="TIME",
    callback=_lifetime,
    help="When it is no longer taken: 90d, 12h, 30m, or never.",
)
@click.option(
    "--overlap",
    default=None,
    metavar="TIME",
    callback=lambda *given: None if given[-1] is None else _lifetime(*given),
    help="Replace the tokens of this name, which are taken for so long: 24h.",
)
@click.option("--hash", "prints_hash", is_flag=True, help="Keep it nowhere: print its entry for admin.tokens.")
@state_option
def new(
    name: str,
    role: AdminRole | None,
    lifetime: float | None,
    overlap: float | None,
    state: Path | None,
    *,
    tail: bool,
    prints_hash: bool,
) -> None:
    """Make a token and print it; it is shown only now.

    The token is the only line of the standard output, so that it can go to a file: `gateway admin token new ops
    --role operator > token`.

    Exit status: 3 if it cannot be kept.
    """
    from gateway_core.admin.tokens import expire_named, make_token  # noqa: PLC0415 - so that help is quick

    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise click.BadParameter("a name has 1 to 100 printable characters", param_hint="NAME")
    now = SystemClock().wall()
    file, there = (None, []) if prints_hash else _tokens(state)
    replaced = [each.token for each in there if overlap is not None and each.token.name == name]
    if replaced and role is None:
        role, tail = replaced[-1].role, tail or replaced[-1].may_tail
    text, kept = make_token(name, role or "viewer", now, lifetime=lifetime, may_tail=tail)
    if file is None:
        entry: dict[str, Any] = {"name": name, "role": kept.token.role, "hash": kept.token.digest}
        if kept.token.expires is not None:
            entry["expires"] = _moment(kept.token.expires)
        click.echo(f"admin.tokens: {entry | ({'tail': True} if tail else {})}", err=True)
    else:

        def add(tokens: Sequence[KeptToken]) -> Sequence[KeptToken]:
            if overlap is not None:
                tokens = expire_named(tokens, name, now + overlap)
            return [*(each for each in tokens if not _is_over(each, now)), kept]

        _change(file, add)
        until = "" if kept.token.expires is None else f", until {_moment(kept.token.expires)}"
        click.echo(
            f"token {kept.id} of {name} ({kept.token.role}{until}) is in {file.path}; it is shown only now", err=True
        )
    echo(text)


@token_commands.command("list")
@state_option
@json_option
def list_tokens(state: Path | None, *, as_json: bool) -> None:
    """List the tokens of a state directory: id, name, role, and until when they are taken.

    Exit status: 3 if they cannot be read.
    """
    from gateway_core.cli.routes import aligned  # noqa: PLC0415 - so that help is quick

    _, tokens = _tokens(state)
    now = SystemClock().wall()
    if as_json:
        print_json([{name: value for name, value in each.to_plain().items() if name != "hash"} for each in tokens])
        return
    if not tokens:
        echo("there are no tokens: make one with gateway admin token new NAME")
        return
    rows = [(each.id, each.token.name, each.token.role, _state(each, now)) for each in tokens]
    echo(aligned([("ID", "NAME", "ROLE", "UNTIL"), *rows]))


@token_commands.command("revoke")
@click.argument("names", metavar="ID|NAME...", nargs=-1, required=True)
@state_option
def revoke(names: tuple[str, ...], state: Path | None) -> None:
    """Revoke tokens, by their ids or names; running gateways refuse them at once.

    Exit status: 1 if there is no such token, 3 if they cannot be read or written.
    """
    file, tokens = _tokens(state)
    gone = [each for each in tokens if each.id in names or each.token.name in names]
    unknown = [name for name in names if not any(name in {each.id, each.token.name} for each in gone)]
    if gone:
        _change(file, lambda there: [each for each in there if each.id not in {one.id for one in gone}])
        echo(f"revoked: {', '.join(f'{each.id} of {each.token.name}' for each in gone)}")
    if unknown:
        click.echo(f"gateway: there is no token {', '.join(unknown)} in {file.path}", err=True)
        raise click.exceptions.Exit(PROBLEMS)


def _tokens(state: Path | None) -> tuple[TokenFile, list[KeptToken]]:
    from gateway_core.admin.tokens import TokenFile, TokenFileError  # noqa: PLC0415 - so that help is quick
    from gateway_core.reload.last_good import default_state_directory  # noqa: PLC0415

    file = TokenFile(state or default_state_directory(os.environ))
    try:
        return file, list(file.load())
    except TokenFileError as error:
        click.echo(f"gateway: {error}", err=True)
        raise click.exceptions.Exit(UNDECIDABLE) from None


def _change(file: TokenFile, edit: Callable[[Sequence[KeptToken]], Sequence[KeptToken]]) -> None:
    from gateway_core.admin.tokens import TokenFileError  # noqa: PLC0415 - so that help is quick

    try:
        file.change(edit)
    except TokenFileError as error:
        click.echo(f"gateway: {error}", err=True)
        raise click.exceptions.Exit(UNDECIDABLE) from None


def _is_over(each: KeptToken, now: float) -> bool:
    return each.token.expires is not None and each.token.expires <= now


def _state(each: KeptToken, now: float) -> str:
    if each.token.expires is None:
        return "never ends"
    return "expired" if _is_over(each, now) else _moment(each.token.expires)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
