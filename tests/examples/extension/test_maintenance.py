from __future__ import annotations

from pathlib import Path

from gateway_extension_example.maintenance import Maintenance
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, StartGateway, assert_plugin_ok


def test_keeps_to_what_every_plugin_should() -> None:
    assert_plugin_ok(Maintenance, config={"file": "/nowhere"})


def test_requests_are_refused_as_long_as_the_file_exists(
    gateway: StartGateway, upstream: ScriptedUpstream, clock: ManualClock, tmp_path: Path
) -> None:
    file = tmp_path / "maintenance"
    binding = {"name": "maintenance", "config": {"file": str(file), "retry_after": "1500ms"}}
    routes = [{"id": "all", "path_prefix": "/", "target": upstream.url}]
    running = gateway({"plugins": [binding], "routes": routes}, plugins=[Maintenance])

    before = running.get("/")
    file.touch()
    clock.advance(1)
    during = running.get("/there-is-no-route-either")
    file.unlink()
    clock.advance(1)
    after = running.get("/")

    assert [before.status, during.status, after.status] == [200, 503, 200]
    assert during.headers["retry-after"] == "2"
    assert during.json()["detail"] == "maintenance"


def test_some_clients_are_let_through(gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    binding = {"name": "maintenance", "config": {"file": str(tmp_path), "allow": ["127.0.0.1"]}}
    routes = [{"id": "all", "path_prefix": "/", "target": upstream.url}]

    running = gateway({"plugins": [binding], "routes": routes}, plugins=[Maintenance])

    assert running.get("/").status == 200
