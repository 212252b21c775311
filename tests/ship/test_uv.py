"""The gateway in the hands of uv: from wheels alone, in environments that have no pip."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.contract.repository import ROOT
from tests.end_to_end.kit import Gateway, Upstream, eventually, get

PARTS = ("core", "plugin-sdk", "plugins/ratelimit")
PROJECT = """
[project]
name = "our-gateway"
version = "1"
requires-python = ">=3.11"
dependencies = ["gateway-core", "gateway-plugin-sdk"]

[tool.uv]
no-index = true
find-links = ["{wheels}"]
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, folder: Path | None = None) -> str:
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of wheels: of the gateway, and of everything that it requires."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-build-isolation"]
    pip += ["-c", str(ROOT / "constraints.txt"), "--wheel-dir", str(folder)]
    run(*pip, *(str(ROOT / part) for part in PARTS))
    return folder


@pytest.fixture
def uv(wheels: Path) -> Callable[..., str]:
    def call(*arguments: str | Path, folder: Path | None = None) -> str:
        return run(find_uv_bin(), "--offline", "--quiet", *arguments, folder=folder)

    return call


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream("one") as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[[Path, Path], Gateway]]:
    started: list[Gateway] = []

    def begin(config: Path, python: Path) -> Gateway:
        started.append(Gateway(config, python=python))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.kill()


async def test_a_plugin_that_uv_installs_is_used_without_a_restart(
    tmp_path: Path, wheels: Path, uv: Callable[..., str], upstream: Upstream, start: Callable[[Path, Path], Gateway]
) -> None:
    python = tmp_path / "environment" / "bin" / "python"
    install = ("pip", "install", "--python", python, "--no-index", "--find-links", wheels)
    uv("venv", "--python", sys.executable, tmp_path / "environment")
    uv(*install, "gateway-core", "gateway-plugin-sdk")
    config = tmp_path / "gateway.yaml"
    without = f"listen: 127.0.0.1:0\nroutes:\n  - id: a\n    path_prefix: /\n    target: {upstream.url}\n"
    config.write_text(without)
    gateway = start(config, python)
    url = await gateway.ready()
    assert (await get(url, "/"))[0] == 200

    uv(*install, "gateway-plugin-ratelimit")
    config.write_text(without + "    plugins: [{name: ratelimit, config: {quota: 1, window: 1d, key: constant}}]\n")

    await eventually(url, "/", "429")


def test_a_project_with_the_gateway_is_locked_and_run(tmp_path: Path, wheels: Path, uv: Callable[..., str]) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT.format(wheels=wheels))
    (project / "gateway.yaml").write_text("plugins: [{name: ratelimit, config: {rate: 1}}]\nroutes: []\n")
    python = ("--python", sys.executable)

    uv("lock", *python, folder=project)
    uv("add", *python, "gateway-plugin-ratelimit", folder=project)
    locked = (project / "uv.lock").read_text()
    uv("run", *python, "--locked", "gateway", "check", "-c", "gateway.yaml", folder=project)
    uv("run", *python, "--locked", "gateway", "plugins", "lock", folder=project)
    uv("run", *python, "--locked", "gateway", "plugins", "verify", folder=project)

    assert 'name = "gateway-plugin-ratelimit"' in locked
    assert not list(project.glob(".venv/lib/*/site-packages/pip"))
    assert (project / "uv.lock").read_text() == locked
