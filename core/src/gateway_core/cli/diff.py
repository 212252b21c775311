"""``gateway diff``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

if TYPE_CHECKING:
    from gateway_core.cli.control_client import AdminClient

_TIMEOUT: Final = 120.0
"""Seconds; files and sources are read, validated and prepared in every worker."""
_RUNNING: Final = "running"


def _version(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == _RUNNING or (value.isascii() and value.isdecimal() and int(value) > 0):
        return value
    raise click.BadParameter(f"{value!r} is neither the number of a version (gateway history) nor {_RUNNING!r}")


@click.command("diff", short_help="Show what files would change in a running gateway, or what two versions differ in.")
@running_gateway_options
@json_option
@click.argument("old", required=False, callback=_version)
@click.argument("new", required=False, callback=_version)
def command(
    roots: tuple[str, ...], pid: int | None, admin: str | None, old: str | None, new: str | None, *, as_json: bool
) -> None:
    """Show what a reload would change: the configuration that is in force against what files and sources have now.
    Nothing is changed, but everything is validated and prepared as a reload does, in every worker.

    With OLD and NEW, two versions are compared, by their numbers as `gateway history` has them; `running` is what is
    in force, which NEW is unless given. Secrets are not shown: one that changes is hidden on both sides.

    Exit status: 0 if nothing differs, 1 if something does, 2 for wrong usage, 3 if that is not known: files are
    rejected, a version is not kept, no gateway was found, or it refused.
    """
    from gateway_core.cli.control_client import client_of, exit_undecided  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.progress import progress  # noqa: PLC0415

    try:
        with progress("waiting for the gateway"):
            client = client_of(roots, pid, admin)
            found = _of_files(client) if old is None else _of_versions(client, old, new or _RUNNING)
    except GatewayError as error:
        exit_undecided(error)
    if as_json:
        print_json({name: value for name, value in found.items() if name != "report"})
    if found.get("result") == "rejected":
        click.echo(found["report"], err=True)
        exit_undecided("what files and sources have is rejected: a reload would change nothing")
    if not as_json:
        for line in lines_of(found):
            echo(line)
    if found["total"]:
        raise click.exceptions.Exit(PROBLEMS)


def _of_files(client: AdminClient) -> Mapping[str, Any]:
    from gateway_core.admin.operations import RELOAD  # noqa: PLC0415 - so that help is quick
    from gateway_core.cli.control_client import detail_of  # noqa: PLC0415

    status, found = client.post(f"{RELOAD}?dry_run=true", None, _TIMEOUT)
    if status != 200 or "result" not in found:
        raise GatewayError(f"the gateway responded {status}: {detail_of(found)}")
    return dict(found)


def _of_versions(client: AdminClient, old: str, new: str) -> Mapping[str, Any]:
    from gateway_core.admin.resources.history import DIFF  # noqa: PLC0415 - so that help is quick

    return dict(client.get(f"{DIFF}?{urlencode({'old': old, 'new': new})}", _TIMEOUT))


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield differences as people read them: the key path, then lines of what was and of what is."""
    for each in found["differences"]:
        yield each["path"]
        yield from _value("- ", each["before"])
        yield from _value("+ ", each["after"])
    if (more := found["total"] - len(found["differences"])) > 0:
        yield f"... and {more} more"
    for each in found.get("losses", ()):
        if each["kind"] == "connections":
            yield f"would end: {each['endpoint']} of {each['upstream']}, {each['active_requests']} requests in flight"
        else:
            yield f"would end: the state of {each['plugin']} ({each['binding']}), which {each['what']}"


def _value(sign: str, value: Any) -> Iterator[str]:
    import yaml  # noqa: PLC0415 - so that help is quick

    if value is not None:
        text = yaml.safe_dump(_without_empty(value), sort_keys=False, allow_unicode=True, width=76)
        yield from (f"{sign}{line}" for line in text.removesuffix("...\n").splitlines())


def _without_empty(value: Any) -> Any:
    """Return a value without the options of its objects that say nothing."""
    if isinstance(value, Mapping):
        kept = {name: _without_empty(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in (None, [], {}, "")}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value
