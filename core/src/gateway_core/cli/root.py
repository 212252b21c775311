"""The command group. Each command is a module of its own, imported when it is used."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from gateway_core import __version__

COMMANDS: Final = {
    "admin": "Make, list and revoke tokens of the admin API.",
    "call": "Run a command of a plugin in a running gateway.",
    "check": "Check a configuration and print every problem in it.",
    "demo": "Start a gateway with two small upstreams to play with.",
    "dev": "Run the plugin in this folder, and follow its files.",
    "diff": "Show what files would change in a running gateway, or what two versions differ in.",
    "drain": "Send an endpoint no new requests.",
    "events": "Follow what happens in a running gateway.",
    "explain": "Explain the code of a problem, a response's reason or an event.",
    "history": "List the configurations that were in force, or show one.",
    "log-level": "Change the level of a running gateway's log for a while.",
    "match": "Show which route a request would take, and why.",
    "plugins": "List, show, make, install and lock plugins.",
    "record": "Record requests of a running gateway, to replay them.",
    "release": "Take a binding of a plugin out of quarantine.",
    "reload": "Have a running gateway reload its configuration.",
    "replay": "Send recorded requests to two configurations, and compare.",
    "rollback": "Put an earlier configuration in force again, and pin it.",
    "routes": "List the routes of a configuration.",
    "run": "Start the gateway.",
    "schema": "Print the JSON Schema of the configuration, for editors.",
    "status": "Show the state of a running gateway.",
    "tail": "Watch the requests of a running gateway.",
    "top": "Show the traffic of a running gateway, live.",
    "unpin": "Have files and sources count again after a rollback.",
    "up": "Have an endpoint get requests again.",
}
"""Commands of the gateway itself, with what the overview says of them."""


_COMPLETION: Final = "_GATEWAY_COMPLETE"
"""What a shell's completion script sets (docs/command-line.md)."""

_NO_DESCRIPTORS: Final = os.strerror(errno.EMFILE)
"""What the import of an extension module says without an error number."""

_HELP: Final = frozenset({"-h", "--help"})
"""Which imports no plugin."""

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit status of a command that Ctrl-C has ended before it was done, as of a program that the signal has ended."""

_HANDOVER: Final = "GATEWAY_HANDOVER"
"""Set where another program is running already, see `gateway_core.process.model.VARIABLE`."""

_WRITTEN_BY_CLICK: Final = _HELP | {"--version"}
"""Whose text click writes to standard output itself."""

_CONTAINED: Final = frozenset({"check", "match", "plugins", "routes", "schema"})
"""Commands that import plugins, and run in a child process (`gateway_core.cli.containment`)."""

_TO_STOP: Final = (signal.SIGTERM, signal.SIGINT)

_OF_PROGRAM: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that mean something to a gateway, see `gateway_core.process.loops.Signals`."""


class Commands(click.Group):
    """The gateway's commands, then those of extensions, which are known only by importing every plugin.

    So the overview leaves them out, and says that there may be some: it takes no longer than the command line itself.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:  # says where if a plugin was imported at that moment
            click.echo(f"gateway: interrupted {interrupt}".rstrip(), err=True)
            ctx.exit(INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"gateway_core.cli.{cmd_name.replace('-', '_')}").command
            return command
        found = super().get_command(ctx, cmd_name)
        # A shell that completes a line must not run the code of plugins.
        return found if found is not None or _COMPLETION in os.environ else _extension_commands().get(cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing them."""
        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name]) for name in names] or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click calls it so
        """Write the overview without importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))
        formatter.write_paragraph()
        formatter.write_text("Installed plugins may offer more, which run in the same way: see their READMEs.")


def _extension_commands() -> dict[str, click.Command]:
    """Return what extensions offer; asked for only when the gateway's own commands are not enough."""
    from gateway_core.packages import Extensions, PluginRegistry  # noqa: PLC0415  # costs more than most commands

    extensions = Extensions(PluginRegistry().loaded(), {"gateway_commands": COMMANDS})
    found = {command.name: command for command in extensions.commands() if command.name}
    for problem in extensions.problems:
        click.echo(str(problem), err=True)
    return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gateway")
def gateway() -> None:
    """An API gateway whose plugins are ordinary Python packages."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 fine, 1 problems found, 2 wrong usage, 3 undecidable."""
    given = sys.argv[1:] if arguments is None else arguments
    _open_standard_streams()
    command = given[0] if given else ""
    if command in _CONTAINED or command == "run":
        # Imports make many objects, of which none is garbage. A command that comes to its end has none worth looking
        # for, and what the gateway makes until it serves lives as long as it does; then it collects again.
        gc.disable()
    if command == "run":
        _hold_signals()
    if command in _CONTAINED and not _HELP.intersection(given):
        from gateway_core.cli.containment import run_contained  # noqa: PLC0415  # it imports what --help can do without

        raise SystemExit(run_contained(lambda: _run(given)))
    raise SystemExit(_run(given))


def _hold_signals() -> None:
    """Have signals wait until the program can handle them: a SIGHUP that comes while it imports would end it.

    Those to stop end it now: imports may take seconds, and there is nothing yet to end gently. A program that takes
    over has workers that serve, and one on trial is ended by its parent, so there these wait too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _OF_PROGRAM)
    if _HANDOVER not in os.environ:
        for number in _TO_STOP:
            signal.signal(number, _stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_STOP)


def _stop(number: int, _frame: object) -> NoReturn:
    # Not by an exception, which whatever is imported might catch.
    with contextlib.suppress(OSError):
        os.write(2, f"gateway: stopped by {signal.Signals(number).name} before it was ready\n".encode())
    os._exit(0)


def _open_standard_streams() -> None:
    """Open the null device as each standard stream that is closed.

    Otherwise the next file or socket has its number, and gets what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
            os.set_inheritable(number, True)
    # Python has none of those that were closed; they stay open as long as the process.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _run(arguments: Sequence[str]) -> int:
    try:
        result: Any = gateway.main(args=list(arguments), prog_name="gateway", standalone_mode=True)
    except SystemExit as exit_:
        result = exit_.code
    except UnicodeError:
        # Paths may be any bytes; what goes into a request or into the output may not.
        wrong = [each for each in arguments if not _is_text(each)]
        if not wrong:
            raise
        click.echo(f"gateway: the argument {os.fsencode(wrong[0])!r} is not UTF-8", err=True)
        result = 2
    except (OSError, ImportError) as error:  # a command's modules are imported when it is used
        if isinstance(error, OSError) and _WRITTEN_BY_CLICK.intersection(arguments):
            from gateway_core.cli.options import output_failed  # noqa: PLC0415 - so that the overview is quick

            return output_failed(error)
        if not (isinstance(error, OSError) and error.errno == errno.EMFILE) and _NO_DESCRIPTORS not in str(error):
            raise
        text = "too many open files to begin with: raise the limit (ulimit -n, LimitNOFILE= of systemd)"
        click.echo(f"gateway: {text}", err=True)
        result = 1
    return result if isinstance(result, int) else 0 if result is None else 1


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
