"""An authority that is away, slow, hostile or wrong, and a storage that takes nothing: what serves goes on serving."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_plugin_acme.authority import Authority, AuthorityError, account_key
from gateway_plugin_acme.config import AuthorityConfig
from gateway_plugin_acme.crypto import new_key, self_signed
from gateway_plugin_acme.names import Wanted
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, StartGateway, eventually

from tests.plugins.acme.conftest import document, has_certificate, is_issued, shown
from tests.plugins.acme.limits import Refusal, in_front_of, limited
from tests.plugins.acme.pebble import KEYS, Pebble, run_pebble
from tests.plugins.acme.test_commands import run

Served = Callable[..., RunningGateway]

pytestmark = pytest.mark.one_protocol(reason="about TLS, and listeners of given ports")

NAME = "a.example.com"
AWAY = "https://127.0.0.1:1/dir"


def logged(running: RunningGateway, text: str) -> bool:
    return any(text in record.getMessage() for record in running.logs)


@pytest.mark.parametrize(
    "environ",
    [
        {"PEBBLE_WFE_NONCEREJECT": "60"},
        {"PEBBLE_AUTHZREUSE": "100"},
        {"PEBBLE_CHAIN_LENGTH": "3"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_a_hostile_authority_issues_all_the_same(
    gateway: StartGateway, tmp_path: Path, storage: Path, environ: dict[str, str]
) -> None:
    with run_pebble(tmp_path / "pebble", environ=environ) as pebble:
        gateway(document(pebble, storage, [NAME], names=[NAME, [NAME.replace("a", "b", 1), "c.example.com"]]))

        eventually(lambda: has_certificate(pebble.tls_port, NAME))
        eventually(lambda: has_certificate(pebble.tls_port, "c.example.com"))


@pytest.mark.slow
def test_an_authority_that_takes_its_time_is_waited_for(gateway: StartGateway, tmp_path: Path, storage: Path) -> None:
    environ = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"}
    with run_pebble(tmp_path / "pebble", environ=environ) as pebble:
        gateway(document(pebble, storage, [NAME]))

        eventually(lambda: has_certificate(pebble.tls_port, NAME), within=60)


def test_an_authority_that_is_away_is_followed_by_the_next_one(served: Served, pebble: Pebble) -> None:
    served(NAME, authorities=[{"url": AWAY, "ca": str(pebble.ca)}, pebble.config()])

    eventually(lambda: has_certificate(pebble.tls_port, NAME))


def test_without_any_authority_the_gateway_starts_serves_and_names_the_reason(served: Served, pebble: Pebble) -> None:
    running = served(NAME, authorities=[{"url": AWAY, "ca": str(pebble.ca)}])

    own = shown(pebble.tls_port, NAME)
    assert own is not None
    assert not is_issued(own)
    eventually(lambda: logged(running, f"no certificate for {NAME}: {AWAY}: the authority is away"))


def test_a_challenge_that_fails_gives_the_next_one_its_turn(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    config = document(pebble, storage, [NAME], challenges=["http-01", "tls-alpn-01"])
    config["listen"].pop(0)  # port 80 does not reach the gateway
    running = gateway(config)

    eventually(lambda: logged(running, f"no certificate for {NAME}"))
    eventually(lambda: has_certificate(pebble.tls_port, NAME))


def test_an_external_account_is_bound(gateway: StartGateway, tmp_path: Path, storage: Path) -> None:
    with run_pebble(tmp_path / "pebble", needs_account=True) as pebble:
        refused = gateway(document(pebble, storage / "without", [NAME]))
        eventually(lambda: logged(refused, "externalAccountRequired"))
        refused.close()

        account = {"key_id": "kid-1", "hmac_key": KEYS["kid-1"]}
        gateway(document(pebble, storage / "with", [NAME], authorities=[pebble.config(external_account=account)]))
        eventually(lambda: has_certificate(pebble.tls_port, NAME))


def test_what_is_stored_and_does_not_fit_is_not_served(gateway: StartGateway, pebble: Pebble, storage: Path) -> None:
    config = document(pebble, storage, [NAME, "b.example.com"])
    running = gateway(config)
    eventually(lambda: has_certificate(pebble.tls_port, NAME) and has_certificate(pebble.tls_port, "b.example.com"))
    running.close()
    files = {each.name.partition("-")[0]: each for each in (storage / "certificate").iterdir()}
    first, second = (json.loads(files[name].read_bytes().partition(b"\n")[2]) for name in (NAME, "b.example.com"))
    files[NAME].write_bytes(b"value\n" + json.dumps(first | {"key": second["key"]}).encode())

    again = gateway(config)

    eventually(lambda: logged(again, "the certificate does not fit its key"))
    eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"))
    assert not has_certificate(pebble.tls_port, NAME)


def test_an_authority_that_never_responds_blocks_neither_start_nor_reload(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    released = threading.Event()
    with in_front_of(pebble) as front:
        front.refuse = lambda path: None if released.wait(60) else limited("0")
        slow = {**front.config(), "timeout": "1s"}
        running = gateway(document(pebble, storage, [NAME], authorities=[slow]))

        assert shown(pebble.tls_port, NAME) is not None
        eventually(lambda: front.asked)
        running.reload(document(pebble, storage, [NAME, "b.example.com"], authorities=[slow]))
        assert shown(pebble.tls_port, "b.example.com") is not None
        eventually(lambda: logged(running, "the authority does not respond in time"))
        released.set()
        eventually(lambda: has_certificate(pebble.tls_port, NAME), within=60)


def test_an_order_with_more_authorizations_than_a_certificate_may_have_names_is_refused(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    with in_front_of(pebble) as front:
        where = f"https://127.0.0.1:{front.port}/my-order/1"
        order = {"status": "pending", "identifiers": [], "authorizations": [where] * 101, "finalize": where}
        made = 201, {"Location": where, "Replay-Nonce": "bm9uY2U"}, json.dumps(order).encode()
        front.refuse = lambda path: made if path == "/order-plz" else None
        running = gateway(document(pebble, storage, [NAME], authorities=[front.config()], retry="1h"))

        eventually(lambda: logged(running, "the authority asks for 101 authorizations of one order"))
        assert "/my-order/1" not in front.asked


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is no certificate"),
        (b"<html>maintenance</html>", "is no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is no certificate"),
        (self_signed([NAME], new_key("ec256"), SystemClock().wall()).chain, "does not fit its key"),
    ],
    ids=["empty", "html", "broken", "of-another-key"],
)
def test_what_an_authority_issues_and_cannot_serve_is_named_and_the_old_certificate_serves_on(
    gateway: StartGateway, pebble: Pebble, storage: Path, tmp_path: Path, body: bytes, reason: str
) -> None:
    with in_front_of(pebble) as front:
        config = document(pebble, storage, [NAME], authorities=[front.config()], retry="1h")
        (path := tmp_path / "gateway.json").write_text(json.dumps(config))
        running = gateway(config)
        eventually(lambda: has_certificate(pebble.tls_port, NAME))
        first = shown(pebble.tls_port, NAME)
        fields = {"Content-Type": "application/pem-certificate-chain", "Replay-Nonce": "bm9uY2U"}
        front.refuse = lambda path: (200, fields, body) if path.startswith("/certZ/") else None

        assert run("renew", path, NAME).exit_code == 0

        eventually(lambda: logged(running, reason))
        assert shown(pebble.tls_port, NAME) == first


def test_a_fault_of_a_moment_after_the_request_for_a_certificate_orders_no_other_one(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    faults: dict[str, Refusal] = {"/my-order/": (503, {}, b"busy"), "/certZ/": (200, {}, b"<html>" * 200_000)}
    with in_front_of(pebble) as front:

        def once(path: str) -> Refusal | None:
            kind = next((each for each in faults if path.startswith(each)), "")
            return faults.pop(kind) if kind and any("finalize" in each for each in front.asked) else None

        front.refuse = once
        gateway(document(pebble, storage, [NAME], authorities=[front.config()], retry="1h"))

        eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert not faults
    assert pebble.issued() == 1


@pytest.mark.parametrize("finalize", ["", "ftp://127.0.0.1/", "https://[", "https://127.0.0.1:1/", 5, ["x"], None])
def test_an_order_with_a_url_that_is_none_is_refused(
    gateway: StartGateway, pebble: Pebble, storage: Path, finalize: object
) -> None:
    with in_front_of(pebble) as front:
        where = f"https://127.0.0.1:{front.port}/my-order/1"
        order = {"status": "ready", "identifiers": [], "authorizations": [], "finalize": finalize}
        fields = {"Location": where, "Replay-Nonce": "bm9uY2U"}
        front.refuse = lambda path: (
            (201, fields, json.dumps(order).encode()) if path in {"/order-plz", "/my-order/1"} else None
        )
        running = gateway(document(pebble, storage, [NAME], authorities=[front.config()], retry="1h"))

        eventually(lambda: logged(running, f"no certificate for {NAME}: {front.config()['url']}: the authority "))


def test_an_order_that_is_processed_is_looked_at_again_when_the_authority_says(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    looks: list[float] = []
    with in_front_of(pebble) as front:
        where = f"https://127.0.0.1:{front.port}/my-order/1"
        order = {"status": "processing", "identifiers": [], "authorizations": [], "finalize": where}
        fields = {"Retry-After": "2", "Replay-Nonce": "bm9uY2U"}

        def processing(path: str) -> Refusal | None:
            if not path.startswith("/my-order/") or not any("finalize" in each for each in front.asked):
                return None
            now = SystemClock().monotonic()
            if looks and now > looks[0] + 1:
                return None
            looks.append(now)
            return 200, fields, json.dumps(order).encode()

        front.refuse = processing
        gateway(document(pebble, storage, [NAME], authorities=[front.config()]))

        eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert len(looks) == 1


def test_with_a_wrong_clock_a_certificate_is_refused_once_and_got_when_the_clock_is_right(
    gateway: StartGateway, pebble: Pebble, storage: Path
) -> None:
    years = 10 * 365 * 86400
    clock = ManualClock(wall=SystemClock().wall() - years)
    running = gateway(document(pebble, storage, [NAME]), clock=clock)
    eventually(lambda: logged(running, "which is not now: is the clock right?"))
    assert not has_certificate(pebble.tls_port, NAME)
    assert pebble.issued() == 1

    clock.advance(years)

    eventually(lambda: has_certificate(pebble.tls_port, NAME))
    assert pebble.issued() == 2


@pytest.mark.slow
def test_a_name_that_is_removed_while_its_order_runs_gets_no_certificate(
    gateway: StartGateway, tmp_path: Path, storage: Path
) -> None:
    environ = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "5"}
    with run_pebble(tmp_path / "pebble", environ=environ) as pebble:
        running = gateway(document(pebble, storage, [NAME]))
        eventually(lambda: any((storage / "token").glob("[!.]*")))

        running.reload(document(pebble, storage, ["b.example.com"]))

        eventually(lambda: has_certificate(pebble.tls_port, "b.example.com"), within=60)
        assert [each.name for each in (storage / "certificate").iterdir()] == [Wanted(("b.example.com",)).id]


class Garbage(BaseHTTPRequestHandler):
    """Responds to everything with what the test says."""

    status, body, fields = 200, b"", dict[str, str]()

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_HEAD = do_GET  # noqa: N815 - the names that the library asks for

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def garbage() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"<html>", "what is no ACME"),
        (200, b"[]", "what is no ACME"),
        (200, b"{}", "what is no ACME"),
        (200, b"\xff\xfe", "what is no ACME"),
        (200, b"x" * (1 << 21), "larger than"),
        (500, b"oops", "what is no ACME: status 500"),
        (429, b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "slow down"}', "slow down"),
    ],
)
async def test_an_authority_that_responds_with_garbage_is_named(
    garbage: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, reason: str
) -> None:
    monkeypatch.setattr(Garbage, "status", status)
    monkeypatch.setattr(Garbage, "body", body)
    monkeypatch.setattr(Garbage, "fields", {"Retry-After": "120"})
    config = AuthorityConfig(url=f"http://127.0.0.1:{garbage.server_port}/dir")

    with pytest.raises(AuthorityError, match=reason) as error:
        await asyncio.to_thread(Authority, config, account_key(), "", SystemClock().wall)

    if status == 429:
        assert (error.value.code, error.value.retry_after) == ("rateLimited", 120.0)
