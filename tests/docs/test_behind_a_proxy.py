"""What docs/behind-a-proxy.md says of each proxy is what the gateway makes of its fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from gateway_core.config import GatewayConfig
from gateway_core.messages.addresses import canonical_address
from gateway_core.proxy.downstream.client import believed_facts
from gateway_core.proxy.wire.forwarding import Arrived, Origin, origin_of
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
from gateway_core.proxy.wire.untrusted import UNTRUSTED_FAMILIES, UNTRUSTED_NAMES
from gateway_core.snapshot.listeners import Trust, document_trust

TEXT = (Path(__file__).parents[2] / "docs" / "behind-a-proxy.md").read_text("utf-8")
UNTRUSTED_PEER = "192.0.2.99"


@dataclass(frozen=True)
class Recipe:
    """A configuration, the fields that arrive, and what the page says of them."""

    name: str
    config: GatewayConfig
    block: bytes
    client: str
    scheme: str
    host: str

    @property
    def trust(self) -> Trust:
        return document_trust(self.config)

    @property
    def arrived(self) -> Arrived:
        peer = self.config.trusted_proxies[0]
        return Arrived("", "http", 0, is_unix=True) if isinstance(peer, str) else Arrived(str(peer[0]), "http", 8080)


def recipes() -> list[Recipe]:
    found = []
    for section in TEXT.split("\n## ")[1:]:
        config = None
        pattern = r"```(yaml|http)\n(.*?)```(?:\n\nclient `(.*?)`, scheme `(.*?)`, host `(.*?)`)?"
        for language, text, client, scheme, host in re.findall(pattern, section, re.DOTALL):
            if language == "yaml":
                config = GatewayConfig.model_validate(yaml.safe_load(text))
            else:
                assert config is not None
                block = "".join(f"\r\n{line}" for line in text.splitlines()).encode()
                found.append(Recipe(section.splitlines()[0], config, block, client, scheme, host))
    return found


RECIPES = recipes()


def read(recipe: Recipe, arrived: Arrived) -> tuple[RequestFacts, Origin]:
    facts = read_request_block(recipe.block)
    assert facts is not None
    is_trusted = recipe.trust.believes(arrived.peer_ip, is_unix=arrived.is_unix)
    facts = believed_facts(facts, recipe.trust, is_trusted=is_trusted)
    return facts, origin_of(facts, arrived, recipe.trust, is_trusted=is_trusted)


def sent(origin: Origin) -> dict[bytes, bytes]:
    return {name: line.partition(b": ")[2] for name, line in origin.lines}


def test_every_proxy_has_its_recipe() -> None:
    names = {recipe.name for recipe in RECIPES}

    for proxy in ("nginx", "HAProxy", "Envoy", "Traefik", "Caddy", "Azure Front Door", "Cloudflare", "Fastly"):
        assert proxy in names
    assert len([name for name in names if name.startswith(("AWS", "Amazon", "Google", "Azure"))]) == 6


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_client_scheme_and_host_are_as_the_page_says(recipe: Recipe) -> None:
    facts, origin = read(recipe, recipe.arrived)

    assert (origin.client_ip, origin.scheme) == (recipe.client, recipe.scheme)
    assert canonical_address(recipe.client) == recipe.client
    fields = sent(origin)
    assert fields[b"x-forwarded-host"].decode() == recipe.host
    assert fields[b"x-forwarded-proto"].decode() == recipe.scheme
    assert fields[b"x-forwarded-port"] == b"443"
    peer = recipe.arrived.peer_ip or "unknown"
    assert fields[b"x-forwarded-for"].decode().endswith(f", {peer}")
    assert (
        f"for={recipe.client}" in fields[b"forwarded"].decode()
        or f'"[{recipe.client}]"' in fields[b"forwarded"].decode()
    )
    # What trusted proxies say besides goes on.
    assert all(name in facts.kept.lower() for name in facts.claims)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
@pytest.mark.parametrize("arrived", [Arrived(UNTRUSTED_PEER, "http", 8080), Arrived("", "http", 0)])
def test_from_any_other_peer_the_same_fields_mean_nothing(recipe: Recipe, arrived: Arrived) -> None:
    facts, origin = read(recipe, arrived)

    assert (origin.client_ip, origin.scheme) == (arrived.peer_ip, "http")
    everything = facts.block + facts.kept + b"".join(line for name, line in origin.lines if name != b"via")
    host = recipe.block.split(b"\r\n")[1].partition(b": ")[2]
    assert sent(origin)[b"x-forwarded-host"] == host
    for said in (
        b"203.0.113.7",
        b"2001:db8::7",
        b"6.6.6.6",
        b"x-forwarded-ssl",
        b"x-original",
        b"cf-ip",
        b"azure-fdid",
    ):
        assert said not in everything.lower()
    assert b"https" not in everything


def test_the_list_is_the_codes() -> None:
    def listed(marker: str) -> set[str]:
        text = TEXT.partition(f"<!-- {marker} -->\n")[2].partition("\n\n")[0]
        return {name.lower() for name in re.findall(r"`(.*?)`", text)}

    assert listed("families") == {f"{name.decode()}*" for name in UNTRUSTED_FAMILIES}
    assert listed("names") == {name.decode() for name in UNTRUSTED_NAMES}


def test_every_configuration_is_valid() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        GatewayConfig.model_validate(yaml.safe_load(block))
