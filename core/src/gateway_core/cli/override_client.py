"""What commands that override something in a running gateway share: ``drain``, ``up``, ``release``, ``log-level``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Final, TypeVar, cast

import click

from gateway_core.cli.options import PROBLEMS, echo, json_option, print_json, running_gateway_options
from gateway_core.errors import GatewayError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_TIMEOUT: Final = 30.0
"""Seconds; workers may take 5 of them to say which endpoints there are, and 5 to follow."""


@dataclass(frozen=True, slots=True)
class Request:
    """Sends what a command wants to a running gateway."""

    roots: tuple[str, ...]
    pid: int | None
    admin: str | None
    body: Mapping[str, Any]
    as_json: bool

    def send(self, path: str, done: str, /, **body: Any) -> None:
        """Send it, and print what became of it, or exit.

        :param path: below ``/api/v1/``.
        :param done: what to print.
        """
        from gateway_core.cli.control_client import client_of, detail_of, exit_undecided  # noqa: PLC0415 - so that help is quick
        from gateway_core.cli.progress import progress  # noqa: PLC0415

        given = {name: value for name, value in {**self.body, **body}.items() if value is not None}
        if "level" in body:
            given["level"] = body["level"]  # null has a meaning
        try:
            client = client_of(self.roots, self.pid, self.admin)
            with progress("waiting for every worker to follow"):
                status, outcome = client.post(f"/api/v1/{path}", given, _TIMEOUT)
        except GatewayError as error:
            exit_undecided(error)
        if self.as_json:
            print_json(outcome)
        if status != 200 or not isinstance(outcome, Mapping):
            if not self.as_json:
                click.echo(f"gateway: {detail_of(outcome)}", err=True)
            raise click.exceptions.Exit(PROBLEMS)
        if not self.as_json:
            echo(f"{done}{_until(outcome['override'])}")
        _warn(outcome)


def _until(override: Mapping[str, Any] | None) -> str:
    return "" if override is None else f" until {datetime.fromisoformat(override['expires']):%Y-%m-%d %H:%M:%S} UTC"


def _warn(outcome: Mapping[str, Any]) -> None:
    if outcome["silent_workers"]:
        numbers = ", ".join(map(str, outcome["silent_workers"]))
        click.echo(f"worker {numbers} does not respond, and follows as soon as it does", err=True)
    if outcome["not_kept"]:
        click.echo(f"it ends with the gateway: {outcome['not_kept']}", err=True)


def override_options(function: CommandT) -> CommandT:
    """Add the options of a running gateway, ``--reason``, ``--for`` and ``--json``; the function gets a `Request`."""

    @wraps(function)
    def with_request(
        *args: Any,
        roots: tuple[str, ...],
        pid: int | None,
        admin: str | None,
        reason: str,
        lifetime: str | None,
        as_json: bool,
        **options: Any,
    ) -> Any:
        request = Request(roots, pid, admin, {"reason": reason, "expires_in": lifetime}, as_json)
        return function(*args, request=request, **options)

    decorated: Any = running_gateway_options(
        click.option("--reason", default="", metavar="TEXT", help="Why, for those who see it in the status.")(
            click.option("--for", "lifetime", metavar="TIME", help="When it ends by itself, such as 10m or 2h.")(
                json_option(with_request)
            )
        )
    )
    return cast("CommandT", decorated)


def upstream_option(function: CommandT) -> CommandT:
    """Add ``--upstream``."""
    help_ = "Its upstream, where several have an endpoint of this id."
    return click.option("--upstream", metavar="NAME", help=help_)(function)
