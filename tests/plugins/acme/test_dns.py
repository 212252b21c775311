from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import pytest
from gateway_plugin_acme.config import DnsConfig
from gateway_plugin_acme.dns import DnsError, DnsRecords, find_provider


def records(**options: object) -> DnsRecords:
    config = DnsConfig.model_validate(options)
    return DnsRecords(config, find_provider(config))


def script(folder: Path, text: str) -> list[str]:
    path = folder / "dns.py"
    path.write_text(text)
    return [sys.executable, str(path)]


async def test_a_command_gets_what_to_do_the_name_and_the_value(tmp_path: Path) -> None:
    log = tmp_path / "log"
    dns = records(command=script(tmp_path, f"import sys; open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '|')"))

    await dns.present("_acme-challenge.a.test", "; rm -rf /")
    await dns.cleanup("_acme-challenge.a.test", "; rm -rf /")

    expected = ["present _acme-challenge.a.test ; rm -rf /", "cleanup _acme-challenge.a.test ; rm -rf /", ""]
    assert log.read_text().split("|") == expected


async def test_a_command_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    dns = records(command=script(tmp_path, "import sys; sys.exit('no such zone')"))

    with pytest.raises(DnsError, match="ended with status 1: no such zone"):
        await dns.present("a", "b")


async def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(DnsError, match=r"/nowhere/dns.*cannot be run"):
        await records(command=["/nowhere/dns"]).present("a", "b")


async def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    dns = records(command=script(tmp_path, "import time; time.sleep(60)"), timeout="200ms")

    async with asyncio.timeout(30):
        with pytest.raises(DnsError, match="took longer than"):
            await dns.present("a", "b")


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with a provider."""
    metadata = tmp_path / "dns_provider-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dns-provider\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[gateway.acme.dns]\nzones = dns_provider_of_a_test:Zones\n")
    (tmp_path / "dns_provider_of_a_test.py").write_text(
        "from pydantic import BaseModel\n"
        "class Options(BaseModel):\n    zone: str\n"
        "class Zones:\n"
        "    config_model = Options\n"
        "    def __init__(self, config):\n        self.zone, self.seen = config.zone, []\n"
        "    async def present(self, name, value):\n        self.seen.append((name, value))\n"
        "    async def cleanup(self, name, value):\n        raise RuntimeError('broken')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


@pytest.mark.usefixtures("provider")
async def test_a_provider_of_a_package_is_made_with_its_configuration() -> None:
    config = DnsConfig.model_validate({"name": "zones", "config": {"zone": "a.test"}})
    made = find_provider(config)

    await DnsRecords(config, made).present("x", "y")

    assert (made.zone, made.seen) == ("a.test", [("x", "y")])  # type: ignore[attr-defined]  # the test's own class
    with pytest.raises(DnsError, match="broken"):
        await DnsRecords(config, made).cleanup("x", "y")


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "zoness"}, "no installed package offers dns provider 'zoness': there is zones"),
        ({"name": "zones"}, "refuses its config: zone"),
    ],
)
def test_a_provider_that_cannot_be_made_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_provider(DnsConfig.model_validate(options))
