from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config.admin_targets import leads_to, urls_at

CONTROL = Path("/run/gateway/a-1.sock")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9090",
        "http://127.1.2.3:9090/x",
        "http://localhost:9090",
        "http://a.localhost:9090",
        "http://[::1]:9090",
        "http://0.0.0.0:9090",
        "http://0:9090",
        "http://127.1:9090",
        "http://2130706433:9090",
        "http://0x7f000001:9090",
        "http://[::ffff:127.0.0.1]:9090",
        "http://[0:0:0:0:0:0:0:1]:9090",
        "http://[::ffff:0:0]:9090",
        "http://LOCALHOST.:9090",
        "http://ip6-localhost:9090",
        "https://user:p@127.0.0.1:9090",
        "unix:/run/admin.sock",
        "unix:/run/../run/admin.sock",
        "unix:/run/gateway/b-2.sock",
    ],
)
def test_what_leads_to_an_admin_listener(url: str) -> None:
    assert leads_to(url, ["127.0.0.1:9090", "unix:/run/admin.sock"], CONTROL)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9091", "http://10.0.0.1:9090", "http://127.0.0.1", "unix:/run/users.sock", "http://[:9090"],
)
def test_what_leads_elsewhere(url: str) -> None:
    assert not leads_to(url, ["127.0.0.1:9090", "unix:/run/admin.sock"], CONTROL)


def test_every_address_of_this_machine_may_lead_to_a_listener_of_all_interfaces() -> None:
    assert leads_to("http://10.0.0.1:9090", [":9090"], CONTROL)
    assert leads_to("https://gw.test", [":443"], CONTROL)
    assert leads_to("http://[2001:db8:0::1]:9090", ["[2001:db8::1]:9090"], CONTROL)


def test_urls_are_found_wherever_they_are() -> None:
    value = {
        "target": "http://a",
        "targets": [{"target": "unix:/b"}],
        "endpoints": [{"url": "https://c"}],
        "plugins": [{"config": {"url": "http://d"}}],
        "path": "/e",
    }

    assert [url for _, url in urls_at(value)] == ["http://a", "unix:/b", "https://c", "http://d"]


def test_a_host_beside_a_port_is_an_address_as_well() -> None:
    value = {"discovery": {"name": "dns", "config": {"host": "localhost", "port": 9090}}, "other": {"host": "a"}}

    assert list(urls_at(value)) == [(("discovery", "config", "host"), "http://localhost:9090")]
    assert list(urls_at({"host": "::1", "port": 0})) == [(("host",), "http://[::1]:80")]
