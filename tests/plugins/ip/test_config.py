from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_ip import IpAccess
from gateway_plugin_ip.config import GeoConfig, IpConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route

BROKEN = "10.0.0.0/8\nexample.com\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "neither allows nor denies anything"),
        ({"allow": []}, "every request would be refused"),
        ({"allow": ["10.0.0.300"]}, "is not a network"),
        ({"allow": ["10.1.0.0/8"]}, "write 10.0.0.0/8 for the network"),
        ({"deny": ["example.com"]}, "deny[0]"),
        ({"deny": [{"file": "absent.txt"}]}, "names no file"),
        ({"deny": [{"file": "broken.txt"}]}, "line 2: 'example.com' is not an address or a network"),
        ({"allow": ["::1"], "status": 200}, "status"),
        ({"allow": ["::1"], "address": "forwarded"}, "address"),
        ({"allow": ["::1"], "permit": []}, "permit"),
        ({"geo": {"database": "broken.txt", "allow": ["DE"]}}, "is not a database of addresses"),
        ({"geo": {"database": "broken.txt", "allow": ["Germany"]}}, "write two capitals of ISO 3166"),
        ({"geo": {"database": "broken.txt"}}, "names no country"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(
    gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], message: str
) -> None:
    (tmp_path / "broken.txt").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "ip", "config": config}), plugins=[IpAccess])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


def test_an_empty_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# none yet\n")

    (finding,) = IpAccess.check_config(IpConfig.model_validate({"deny": [{"file": str(tmp_path / "none.txt")}]}))

    assert (finding.code, finding.severity, finding.path) == ("empty-file", "warning", ("deny", 0, "file"))


def test_every_option_is_described() -> None:
    assert all(field.description for model in (IpConfig, GeoConfig) for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(IpAccess, {"allow": ["127.0.0.1"]})
