from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.testing import Client, eventually

from tests.core.cli.conftest import Invoke

pytestmark = pytest.mark.slow


class Dev:
    """A running ``gateway dev``."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway_core.cli", "dev", "--directory", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def says(self, text: str, times: int = 1) -> None:
        try:
            eventually(lambda: self.count(text) >= times)
        except AssertionError:
            raise AssertionError(f"it does not say {text!r} but\n{''.join(self.lines)}") from None

    def client(self) -> Client:
        self.says("listening on ")
        line = next(line for line in self.lines if "listening on " in line)
        return Client("127.0.0.1", int(line.rpartition(":")[2]))

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def folder(invoke: Invoke, tmp_path: Path) -> Path:
    assert invoke("plugins", "new", "geo-tag", "--directory", tmp_path / "plugin").exit_code == 0
    return tmp_path / "plugin"


@pytest.fixture
def dev(folder: Path) -> Iterator[Dev]:
    running = Dev(folder)
    yield running
    if running.process.poll() is None:
        running.end()


def test_it_tells_what_each_hook_did_and_what_the_upstream_got(dev: Dev) -> None:
    answer = dev.client().request("GET", "/some/path")

    assert json.loads(answer.body)["headers"]["x-geo-tag"] == "hello"
    dev.says("GET /some/path")
    dev.says("geo-tag.pre_proxy: set x-geo-tag: 'hello'")
    dev.says("= 200 by upstream")
    assert dev.end() == 0


def test_a_saved_file_is_in_force_on_the_same_port(dev: Dev, folder: Path) -> None:
    client = dev.client()
    code = folder / "src" / "gateway_plugin_geo_tag" / "plugin.py"

    code.write_text(code.read_text().replace("return None", "return Response(418)"))
    dev.says("listening on ", times=2)

    assert client.request("GET", "/").status == 418
    assert dev.count("changed: src/gateway_plugin_geo_tag/plugin.py") == 1


def test_a_mistake_is_shown_and_mended_without_starting_again(dev: Dev, folder: Path) -> None:
    client = dev.client()
    config = folder / "example.yaml"
    good = config.read_text()

    config.write_text(good.replace("value: hello", "valeu: hello"))
    dev.says("waiting for a change")
    config.write_text(good)
    dev.says("listening on ", times=2)

    assert client.request("GET", "/").status == 200
    assert dev.count("valeu") >= 1


def test_a_folder_without_a_plugin_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("dev", "--directory", tmp_path)

    assert result.exit_code == 1
    assert "gateway plugins new" in result.stderr
