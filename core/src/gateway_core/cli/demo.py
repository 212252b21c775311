"""``gateway demo``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import click

from gateway_core.cli.demo_token import demo_token
from gateway_core.cli.demo_upstream import start_upstream
from gateway_core.tasks import spawn

READY_LINE: Final = b"listening on "


@click.command("demo", short_help="Start a gateway with two small upstreams to play with.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Where the gateway listens."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where gateway.yaml is written, unless it is there.",
)
def command(port: int, folder: Path) -> None:
    """Start a gateway in front of two small upstreams, with a configuration to edit. Ctrl-C ends all of it."""
    raise SystemExit(asyncio.run(demo(port, folder)))


def write_config(folder: Path) -> Path:
    """Write the demo's configuration and a random secret unless they are there; return the configuration's path."""
    path = folder / "gateway.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        secret_file(path).touch(0o600, exist_ok=False)
        secret_file(path).write_text(f"{secrets.token_hex(32)}\n", "ascii")
    if not path.exists():
        path.write_text(resources.files("gateway_core.cli").joinpath("demo.yaml").read_text("utf-8"), "utf-8")
    return path


def secret_file(config: Path) -> Path:
    """Return where the demo keeps the secret that signs its token."""
    return config.with_name("secret")


async def demo(port: int, folder: Path) -> int:
    """Run upstreams here and the gateway as a process of its own, until one of them ends."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = write_config(folder)
    red, red_port = await start_upstream("red", 8081)
    blue, blue_port = await start_upstream("blue", 8082)
    settings = {"DEMO_PORT": str(port), "DEMO_RED": str(red_port), "DEMO_BLUE": str(blue_port)}
    async with red, blue:
        return await _gateway(config, settings, stop)


async def _gateway(config: Path, settings: Mapping[str, str], stop: asyncio.Event) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway_core.cli", "run", "-c", str(config)),
        env={**os.environ, **settings},
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C reaches this process only, which then ends the gateway: nothing is stopped twice.
        start_new_session=True,
    )
    output = spawn(_show(process, config), name="demo output")
    ended = spawn(process.wait(), name="demo gateway")
    stopped = spawn(stop.wait(), name="demo stop")
    try:
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        stopped.cancel()
        status = await ended
        await output
    return status


async def _show(process: asyncio.subprocess.Process, config: Path) -> None:
    """Pass on what the gateway says; once it listens, say what to try."""
    assert process.stderr is not None
    async for line in process.stderr:
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
        if line.startswith(READY_LINE):
            click.echo(what_to_try(line.removeprefix(READY_LINE).decode().strip(), config))


def what_to_try(url: str, config: Path) -> str:
    """Return the token and five lines worth trying."""
    token = demo_token(secret_file(config).read_text("ascii").strip())
    sed = f"sed -i.bak 's/weight: 1}}/weight: 9}}/' {config}"
    tries = [
        ("three answers of four come from red", f"for i in 1 2 3 4; do curl -s {url}/hello; done"),
        ("a parameter, and a prefix that the upstream sees as another", f"curl -s {url}/users/7 {url}/files/a/b.txt"),
        (
            "401 without the token, 200 with it",
            f'curl -s {url}/private; curl -s {url}/private -H "Authorization: Bearer $TOKEN"',
        ),
        ("429 after three", f"for i in 1 2 3 4 5; do curl -s -o /dev/null -w '%{{http_code}}\\n' {url}/limited; done"),
        (
            "edit the configuration and see the next answers change",
            f"{sed}; sleep 5; for i in 1 2 3 4; do curl -s {url}/hello; done",
        ),
    ]
    lines = [
        f"\nThe gateway listens on {url}; its configuration is {config}, its log {config.parent / 'access.log'}.",
        "",
    ]
    lines += [f"export TOKEN={token}", ""]
    for what, line in tries:
        lines += [f"# {what}", line, ""]
    return "\n".join([*lines, "Ctrl-C ends it.", ""])
