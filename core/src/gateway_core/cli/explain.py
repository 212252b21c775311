"""``gateway explain``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final, NamedTuple

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json
from gateway_core.config.catalog import FIRST_PARTY
from gateway_core.config.codes import CODES
from gateway_core.config.suggestions import did_you_mean
from gateway_core.events import EVENTS
from gateway_core.reasons import REASONS


class Explanation(NamedTuple):
    """What there is to say of one code."""

    code: str
    kind: str
    """What has it: a problem of a configuration, a response as its reason, or an event of the log."""
    meaning: str
    advice: str
    """What to do, or what else there is to know."""


_WIDTH: Final = 34


@click.command("explain", short_help="Explain the code of a problem, a response's reason or an event.")
@click.argument("code", required=False, shell_complete=lambda _context, _parameter, begun: codes_with(begun))
@json_option
def command(code: str | None, *, as_json: bool) -> None:
    """Explain a code: of a problem that `gateway check` or a reload found (such as upstream.unknown), of the reason of
    a response (such as no-route), or of an event in the gateway's log. Without a code all of them are listed.

    Exit status: 0, or 1 if there is no such code.
    """
    found = [each for each in explanations() if code in {None, each.code}]
    if not found:
        assert code is not None
        click.echo(_unknown(code), err=True)
        raise SystemExit(PROBLEMS)
    if as_json:
        print_json([each._asdict() for each in found] if code is None else found[0]._asdict())
    elif code is None:
        for each in found:
            echo(f"{each.code:<{_WIDTH}}  {each.meaning}")
    else:
        for each in found:
            echo(f"{each.code} ({each.kind})\n  {each.meaning}\n  {each.advice}")


def explanations() -> Iterator[Explanation]:
    """Yield every code that the gateway itself gives."""
    for code, (meaning, remedy) in CODES.items():
        yield Explanation(code, "problem of a configuration", meaning, f"What to do: {remedy}.")
    for code, (status, meaning) in REASONS.items():
        yield Explanation(code, "reason of a response", meaning, f"Status: {status or 'none, the response is cut'}.")
    for code, event in EVENTS.items():
        fields = ", ".join(event.fields) or "none of its own"
        level = logging.getLevelName(event.level).lower()
        yield Explanation(code, "event of the log", event.text, f"Level: {level}. Fields: {fields}.")


def codes_with(begun: str) -> list[str]:
    """Return the codes that begin so, for completion."""
    return [each.code for each in explanations() if each.code.startswith(begun)]


def _unknown(code: str) -> str:
    plugin, dot, _ = code.partition(".")
    if dot and plugin in FIRST_PARTY:
        return f"{code!r} is a code of the plugin {plugin}: its README lists them"
    hint = did_you_mean(code, [each.code for each in explanations()])
    return f"{code!r} is not a code of the gateway: {hint or 'run gateway explain for all of them'}"
