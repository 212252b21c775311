from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CONFIGS = sorted([*EXAMPLES.glob("*.yaml"), EXAMPLES / "directory" / "gateway.yaml"])


def named(path: Path) -> str:
    return path.relative_to(EXAMPLES).as_posix()


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.name != "demo.yaml"], ids=named)
def test_every_example_loads(config: Path) -> None:
    result = CliRunner().invoke(gateway, ["check", "-c", str(config)])

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_the_overview_names_every_example(config: Path) -> None:
    assert f"]({named(config)})" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("page", sorted(EXAMPLES.glob("*/README.md")), ids=named)
def test_the_overview_names_every_folder(page: Path) -> None:
    assert f"]({named(page)})" in (EXAMPLES / "README.md").read_text()
    assert len(page.read_text().splitlines()) <= 75  # one page


def test_the_demo_is_the_one_that_is_installed() -> None:
    installed = ROOT / "core" / "src" / "gateway_core" / "cli" / "demo.yaml"

    assert installed.read_bytes() == (EXAMPLES / "demo.yaml").read_bytes()


@pytest.mark.parametrize(
    ("example", "url", "headers", "route", "path"),
    [
        ("minimal.yaml", "/api/users", {}, "/api/**", "/api/users"),
        ("public-api.yaml", "http://api.example.com/v1/orders/7", {}, "orders", "/v1/orders/7"),
        ("public-api.yaml", "http://anything.example/status", {}, "status", "/health"),
        ("new-version.yaml", "/shop/cart", {"X-Version": "2"}, "testers", "/shop/cart"),
        ("new-version.yaml", "/shop/cart", {"X-Version": "3"}, "everybody", "/shop/cart"),
        ("new-version.yaml", "/store/a/b", {}, "old-address", None),
        ("resilience.yaml", "/sessions/1", {}, "sessions", "/sessions/1"),
        ("directory/gateway.yaml", "/search?q=x", {}, "search", "/search?q=x"),
    ],
)
def test_requests_take_the_route_that_the_example_means(
    example: str, url: str, headers: dict[str, str], route: str, path: str | None
) -> None:
    options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]

    result = CliRunner().invoke(gateway, ["match", "GET", url, "-c", str(EXAMPLES / example), "--json", *options])

    answer = json.loads(result.output)
    assert (answer["route"], answer["path"]) == (route, path)


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("plugins/*/README.md")]


@pytest.mark.parametrize(
    "page", [*PAGES, *EXAMPLES.rglob("*.yaml")], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_no_secret_has_a_default_that_the_page_publishes(page: Path) -> None:
    # Who copies such an example accepts what anyone signs with the published secret.
    defaults = re.findall(r"\b\w*(?:secret|key|token|password)\w*: *\"?\$\{\w+:-([^}]*)\}", page.read_text("utf-8"))

    assert set(defaults) <= {"", "none"}
