from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config import Document, DocumentFormat
from gateway_core.hooks import ServedHosts
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_core.snapshot.served_hosts import served_hosts

CONFIG = """
listen:
  - {address: ":443", name: a, hosts: ["*.A.example"]}
  - {address: ":444", name: b, default: false}
routes:
  - {id: one, path: /, hosts: [One.example, "*.a.example"], respond: {}}
  - {id: two, path: /, hosts: [two.example], listeners: [b], respond: {}}
  - {id: off, path: /, hosts: [off.example], enabled: false, respond: {}}
  - {id: plain, path: /, hosts: [plain.example], scheme: http, respond: {}}
  - {id: every, path: /every, respond: {}}
"""


def test_a_listener_serves_its_own_hosts_and_those_of_its_routes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    loaded = load([path], registry=PluginRegistry(), environ={})
    a, b = loaded.config.listen

    assert served_hosts([a], loaded.config, loaded.place_of) == ServedHosts(
        ("*.a.example",), ("one.example", "*.a.example")
    )
    assert served_hosts([b], loaded.config, loaded.place_of) == ServedHosts((), ("two.example",))
    assert served_hosts([a, b], loaded.config, loaded.place_of).routes == ("one.example", "*.a.example", "two.example")


@pytest.mark.parametrize("name", ["routes.yaml", "n" * 300])
def test_hosts_of_documents_that_are_no_local_files_are_told_apart(name: str) -> None:
    document = Document(f"etcd://h/{name}", CONFIG, DocumentFormat.YAML)
    loaded = load([], registry=PluginRegistry(), environ={}, documents=[document])

    hosts = served_hosts(loaded.config.listen[:1], loaded.config, loaded.place_of)

    assert (hosts.routes, hosts.remote) == ((), ("one.example", "*.a.example"))
