from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.process.config_writer import leads_to

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
