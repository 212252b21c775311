from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gateway_core.cli.root import gateway

Invoke = Callable[..., Result]

CONFIG = """
plugins: [{name: logger}]
upstreams: [{name: users, endpoints: [{url: "http://127.0.0.1:1"}]}]
routes:
  - {id: user, path: "/api/users/:id", methods: [GET], target: users, strip_path: true}
  - {id: quiet, path_prefix: /quiet, hosts: ["*.example.com"], target: "http://127.0.0.1:2",
     plugins: [{name: logger, enabled: false}, {name: ratelimit, config: {rate: 1, burst: 1}}]}
  - {id: beta, path: "/api/users/:id", methods: [GET], headers: {x-beta: "1"}, target: users}
  - {id: moved, path: /old, redirect: {status: 301, path: /new}}
  - {id: split, path: /split, targets: [{target: users, weight: 3}, {target: "http://127.0.0.1:2"}]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    # What locked plugins change in a process that imports them ends with the test.
    monkeypatch.setattr(sys, "pycache_prefix", sys.pycache_prefix)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)

    def run(*arguments: str | Path, input: str | None = None) -> Result:  # noqa: A002  # click's word
        return CliRunner().invoke(gateway, [str(argument) for argument in arguments], input=input)

    return run
