"""Several authorities: one that is slow holds up no other, and one that is no longer configured is replaced."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from pathlib import Path

import pytest
from gateway_plugin_sdk.testing import StartGateway, eventually

from tests.end_to_end.kit import Gateway
from tests.plugins.acme.conftest import document, has_certificate, shown
from tests.plugins.acme.limits import Front, in_front_of, limited
from tests.plugins.acme.pebble import Pebble

pytestmark = pytest.mark.one_protocol(reason="about an authority")

NAME = "a.example.com"


def test_an_authority_that_does_not_respond_is_asked_once_and_all_names_go_on_to_the_next_one(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    names = [f"host{number}.example.com" for number in range(20)]
    released = threading.Event()
    with in_front_of(pebble) as silent:
        silent.refuse = lambda path: limited("0") if released.wait(120) else None
        authorities = [{**silent.config(), "timeout": "1s"}, pebble.config()]
        gateway(document(pebble, storage, names, authorities=authorities, retry="1h"))

        eventually(lambda: pebble.issued() == len(names), within=60)
        assert silent.asked == ["/dir"]
        released.set()


def test_a_certificate_of_an_authority_that_is_no_longer_configured_is_replaced(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    with in_front_of(pebble) as staging:
        running = gateway(document(pebble, storage, [NAME], authorities=[staging.config()]))
        eventually(lambda: has_certificate(pebble.tls_port, NAME))
        first = shown(pebble.tls_port, NAME)

        running.reload(document(pebble, storage, [NAME]))

        eventually(lambda: shown(pebble.tls_port, NAME) not in {first, None} and has_certificate(pebble.tls_port, NAME))
    assert pebble.issued() == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_process_ends_in_time_while_an_authority_does_not_respond(
    pebble: Pebble, storage: Path, tmp_path: Path
) -> None:
    released = threading.Event()
    with in_front_of(pebble) as silent:
        silent.refuse = lambda path: limited("0") if released.wait(120) else None
        path = tmp_path / "gateway.json"
        path.write_text(json.dumps(document(pebble, storage, [NAME], authorities=[silent.config()], retry="10ms")))
        try:
            # Not the first one, if the machine kept it from ending.
            assert any([await ends_in_time(path, silent) for _ in range(3)])
        finally:
            released.set()


async def ends_in_time(config: Path, silent: Front) -> bool:
    """Stop a process that waits for an authority; return whether it has ended without being cut short."""
    before = len(silent.asked)
    running = Gateway(config, environ={"XDG_RUNTIME_DIR": str(config.parent), "XDG_STATE_HOME": str(config.parent)})
    try:
        await running.ready()
        await asyncio.to_thread(eventually, lambda: len(silent.asked) > before, 60)
        running.signal(signal.SIGTERM)
        assert await running.ends() == 0
        return "server.not_ending" not in running.text
    finally:
        running.kill()
