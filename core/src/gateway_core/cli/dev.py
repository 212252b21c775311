"""``gateway dev``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import watchfiles

from gateway_core.cli.demo_upstream import start_upstream
from gateway_core.cli.dev_project import Project, ProjectError, read_project
from gateway_core.cli.options import PROBLEMS
from gateway_core.tasks import Tasks

_HOST: Final = "127.0.0.1"
_FOLLOWED: Final = {".py", ".yaml", ".yml", ".toml", ".json"}


@click.command("dev", short_help="Run the plugin in this folder, and follow its files.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    show_default="this folder",
    help="The plugin's folder.",
)
@click.option("-c", "--config", type=click.Path(path_type=Path), help="What to run; example.yaml unless given.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Where example.yaml listens."
)
@click.option("--serve", nargs=2, type=(str, int), hidden=True, help="Be the process that is started again.")
def command(directory: Path, config: Path | None, port: int, serve: tuple[str, int] | None) -> None:
    """Run the plugin in this folder in front of a demo upstream, and print what each hook does.

    It need not be installed. Whenever a file is saved, the gateway starts again with it; requests wait meanwhile.
    Ctrl-C ends it.
    """
    try:
        project = read_project(directory)
    except ProjectError as error:
        click.echo(str(error), err=True)
        raise SystemExit(PROBLEMS) from None
    path = config or directory / "example.yaml"
    if serve is not None:
        from gateway_core.cli.dev_server import serve as run  # noqa: PLC0415  # the watching process does without it

        raise SystemExit(run(project, path, serve))
    raise SystemExit(asyncio.run(Dev(project, path).run(port)))


class Dev:
    """Watches the folder and keeps a serving process in step with it."""

    def __init__(self, project: Project, config: Path) -> None:
        self._project = project
        self._config = config
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks = Tasks()

    async def run(self, port: int) -> int:
        """Go on until a signal comes; return the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        upstream, upstream_port = await start_upstream("demo", 8081, shows_headers=True)
        with _listening(port) as sock:
            port = sock.getsockname()[1]
            environ = {
                "DEV_PORT": str(port),
                "DEV_UPSTREAM": f"http://{_HOST}:{upstream_port}",
                # A file that is saved twice within a second would be taken from the cache.
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            command = self._command(f"{_HOST}:{port}", sock.fileno())
            click.echo(self._what_to_try(port))
            self._tasks.spawn(self._watch(), name="watch the plugin's folder")
            async with upstream:
                while not self._stop.is_set():
                    await self._serve(command, environ, sock.fileno())
                await self._tasks.aclose()
        return 0

    def _command(self, address: str, descriptor: int) -> list[str]:
        arguments = ["--directory", str(self._project.folder), "-c", str(self._config.resolve())]
        return [sys.executable, "-m", "gateway_core.cli", "dev", *arguments, "--serve", address, str(descriptor)]

    def _what_to_try(self, port: int) -> str:
        names = ", ".join(self._project.plugins)
        source = self._project.source
        return f"running {names} from {source} with {self._config}; try: curl http://{_HOST}:{port}/\nCtrl-C ends it.\n"

    async def _serve(self, command: list[str], environ: Mapping[str, str], descriptor: int) -> None:
        """Run one process until a file changes or a signal comes."""
        self._changed.clear()
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environ},
            pass_fds=(descriptor,),
            # Ctrl-C reaches the watching process only, which then ends this one.
            start_new_session=True,
        )
        try:
            if await self._first(process.wait(), self._changed.wait(), self._stop.wait()) == 0:
                click.echo("waiting for a change\n", err=True)
                await self._first(self._changed.wait(), self._stop.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):
                if process.returncode is None:
                    process.terminate()
            await process.wait()

    async def _first(self, *waits: Awaitable[Any]) -> int:
        """Wait until one of these has ended, and return which; the others are cancelled."""

        async def wait(awaitable: Awaitable[Any]) -> None:
            await awaitable

        tasks = [self._tasks.spawn(wait(each), name="gateway dev") for each in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        first = next(index for index, task in enumerate(tasks) if task.done())
        for task in tasks:
            task.cancel()
        return first

    async def _watch(self) -> None:
        folder = self._project.folder
        async for changes in watchfiles.awatch(folder, watch_filter=self._is_followed, stop_event=self._stop):
            names = sorted({str(Path(path).relative_to(folder)) for _, path in changes})
            click.echo(f"changed: {', '.join(names)}", err=True)
            self._changed.set()

    def _is_followed(self, _change: watchfiles.Change, path: str) -> bool:
        inside = Path(path).relative_to(self._project.folder)
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        return inside.suffix in _FOLLOWED and not hidden and inside.parts[0] not in {"tests", "dist", "build"}


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port, or on any free one if it is taken."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((_HOST, port))
        except OSError:
            sock.bind((_HOST, 0))
        sock.listen()
        yield sock
