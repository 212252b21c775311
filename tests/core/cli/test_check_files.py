"""Pipes and devices in the place of files: `check` reports them and never waits."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.commands import start as commands

ROUTES = "routes: [{path: /, target: 'http://127.0.0.1:1'}]\n"
CONFIGS = {
    "include": "include: [{pipe}]\n" + ROUTES,
    "file": "routes: [{path: /, target: '${file:{pipe}}'}]\n",
    "cert": "listen: {address: '127.0.0.1:0', tls: {cert: {pipe}, key: {pipe}}}\n" + ROUTES,
    "ca": "routes: [{path: /, target: u}]\n"
    "upstreams: [{name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: '{pipe}'}}]\n",
}


def check(config: Path) -> subprocess.CompletedProcess[str]:
    return commands.run("check", "-c", config, timeout=30)


@pytest.mark.parametrize("where", CONFIGS)
def test_a_pipe_in_the_place_of_a_file_is_a_problem(tmp_path: Path, where: str) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIGS[where].replace("{pipe}", str(pipe)))

    done = check(config)

    assert done.returncode == 1
    assert "a pipe, a socket or a device" in done.stdout + done.stderr


def test_a_pipe_as_configuration_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gateway.yaml")

    done = check(tmp_path / "gateway.yaml")

    assert done.returncode == 1
    assert "a pipe, a socket or a device" in done.stdout + done.stderr
