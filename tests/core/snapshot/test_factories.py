from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config import ConfigError
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load


@pytest.mark.parametrize(
    ("name", "config", "key", "message"),
    [
        ("consul", "{service: users, address: 'ftp://x'}", "", "address 'ftp://x' is not a URL such as"),
        (
            "consul",
            "{service: users, adress: 'http://127.0.0.1:8500'}",
            ".adress",
            'unknown key "adress": did you mean "address"?',
        ),
        ("etcd", "{endpoints: ['http://h']}", ".prefix", '"prefix" is missing'),
        ("etcd", "{prefix: /a, endpoints: ['h:2379']}", ".endpoints", "'h:2379' is not a URL such as"),
        ("kubernetes", "{service: users, tmeout: 1s}", ".tmeout", 'did you mean "timeout"?'),
    ],
)
def test_options_that_a_discovery_refuses_are_problems(
    tmp_path: Path, name: str, config: str, key: str, message: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"upstreams: [{{name: u, discovery: {{name: {name}, config: {config}}}}}]\n"
        "routes: [{id: r, path: /, target: u}]\n"
    )

    with pytest.raises(ConfigError) as caught:
        load([path], registry=PluginRegistry(), environ={})

    (problem,) = caught.value.problems
    assert problem.key_path == f"upstreams[0].discovery.config{key}"
    assert message in problem.text
    assert problem.place.line == 1


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("consul", "{service: users, address: 'https://127.0.0.1:1', tls: {ca: /gone.pem}}"),
        ("kubernetes", "{service: users, namespace: a, kubeconfig: /gone}"),
    ],
)
def test_files_that_a_discovery_misses_are_warnings_offline(tmp_path: Path, name: str, config: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"upstreams: [{{name: u, discovery: {{name: {name}, config: {config}}}}}]\n"
        "routes: [{id: r, path: /, target: u}]\n"
    )

    loaded = load([path], registry=PluginRegistry(), environ={}, offline=True)

    assert [warning.code for warning in loaded.warnings] == ["file.missing"]


def test_options_that_a_discovery_takes_are_none(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "upstreams: [{name: u, discovery: {name: consul, config: {service: users, address: 'http://127.0.0.1:1'}}}]\n"
        "routes: [{id: r, path: /, target: u}]\n"
    )

    assert load([path], registry=PluginRegistry(), environ={}).warnings == ()
