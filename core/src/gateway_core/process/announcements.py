"""The lines of the log about the program's start, stop and restart."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from gateway_core.config import ConfigProblem, GatewayConfig, render_problems
from gateway_core.events import (
    CONFIG_WARNINGS,
    SERVER_LISTENING,
    SERVER_NOT_RESTARTED,
    SERVER_NOT_STARTED,
    SERVER_RESTARTED,
    SERVER_RESTARTING,
    SERVER_STOPPING,
    emit,
)
from gateway_core.process.logs import announce


def not_started(text: str, reason: str = "") -> None:
    """Say why there is no gateway.

    :param text: as it is printed.
    :param reason: without what only people need; the text unless given.
    """
    announce(SERVER_NOT_STARTED, text, reason=reason or text)


def listening(urls: Sequence[str], config: GatewayConfig) -> None:
    """Say that the gateway is ready, with a line for each address."""
    for url in urls:
        announce(
            SERVER_LISTENING,
            f"listening on {url}",
            url=url,
            version=version("gateway-core"),
            admin=None if config.admin is None else config.admin.listen,
            workers=config.workers,
        )


def has_warnings(warnings: Sequence[ConfigProblem]) -> None:
    """Show the warnings of the configuration in force, if there are some."""
    if warnings:
        details = render_problems(warnings)
        emit(CONFIG_WARNINGS, "the configuration in force has warnings", details=details, problems=len(warnings))


def stopping(signal: str, config: GatewayConfig) -> None:
    """Say that requests are finished and the program ends."""
    deadline = config.shutdown_timeout
    text = f"stopping, requests may take {deadline:g} s to finish"
    emit(SERVER_STOPPING, text, signal=signal, shutdown_timeout=deadline, drain_delay=config.drain_delay)


def restarting(why: str) -> None:
    """Say that a new program is to take over."""
    emit(SERVER_RESTARTING, f"{why}: a new process is to take over", reason=why)


def restarted(urls: Sequence[str], config: GatewayConfig) -> None:
    """Say that this program has taken over."""
    number, admin = version("gateway-core"), None if config.admin is None else config.admin.listen
    shown = "no admin listener" if admin is None else f"admin on {admin}"
    text = f"the new program has taken over: gateway {number} on {', '.join(urls)}; {shown}"
    emit(SERVER_RESTARTED, text, version=number, urls=list(urls), admin=admin)


def not_restarted(what: str, reason: str, problems: Sequence[ConfigProblem] = ()) -> None:
    """Say why the running program goes on."""
    emit(
        SERVER_NOT_RESTARTED, f"{what}: {reason}", details=render_problems(problems) if problems else "", reason=reason
    )
