from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line
from gateway_core.config.sources import SourceContext
from gateway_extension_example import extension
from gateway_extension_example.certificates_folder import CertificatesFolder
from gateway_extension_example.endpoints_file import EndpointsFile, read_endpoints
from gateway_extension_example.environment import EnvironmentSource
from gateway_extension_example.first_available import FirstAvailable
from gateway_plugin_sdk.testing import (
    ManualClock,
    ScriptedUpstream,
    StartGateway,
    eventually,
    factory_config,
    source_url,
)

from tests.docs.blocks import blocks_of
from tests.examples.extension.conftest import EXAMPLE


def test_each_hook_offers_what_the_readme_says() -> None:
    assert extension.gateway_strategies() == {"first-available": FirstAvailable}
    assert extension.gateway_discovery() == {"endpoints-file": EndpointsFile}
    assert extension.gateway_config_sources() == {"env": EnvironmentSource}
    assert extension.gateway_certificates() == {"certificates-folder": CertificatesFolder}
    assert [command.name for command in extension.gateway_commands()] == ["endpoints"]


@pytest.mark.usefixtures("installed")
def test_endpoints_follow_the_file_and_the_first_one_gets_the_requests(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    file = tmp_path / "shop.txt"
    file.write_text(f"# the first is the best\n{upstream.url}\nhttp://127.0.0.1:1\n")
    discovery = {"name": "endpoints-file", "config": {"file": str(file)}}
    shop = {"name": "shop", "strategy": "first-available", "discovery": discovery}
    route = {"id": "shop", "path_prefix": "/", "target": "shop"}

    running = gateway({"upstreams": [shop], "routes": [route]})

    assert [running.get("/").status for _ in range(4)] == [200] * 4
    file.write_text("http://127.0.0.1:1\n")
    eventually(lambda: running.get("/").status == 502)


def test_a_line_that_is_no_url_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shop.txt"
    file.write_text("http://127.0.0.1:1\n\nhttp://127.0.0.1:1/path\n")

    with pytest.raises(ValueError, match=r"shop\.txt:3: 'http://127\.0\.0\.1:1/path' has more than"):
        read_endpoints(file)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("lines", "status", "output"), [("http://a:1", 0, "http://a:1"), ("what", 1, "shop.txt:1: ")])
def test_the_command_prints_endpoints(tmp_path: Path, lines: str, status: int, output: str) -> None:
    file = tmp_path / "shop.txt"
    file.write_text(lines)

    result = CliRunner().invoke(command_line, ["endpoints", str(file)])

    assert (result.exit_code, output in result.output) == (status, True)


def context(**environ: str) -> SourceContext:
    def session() -> object:
        raise AssertionError("the environment needs no session")

    return SourceContext(ManualClock(), Random(1), environ, session)  # type: ignore[arg-type]


async def test_a_configuration_comes_from_the_environment() -> None:
    source = EnvironmentSource(source_url(EnvironmentSource, "env://CONFIG"), context(CONFIG="routes: []"))

    state = await anext(aiter(source.documents()))

    assert [(document.name, document.text) for document in state.documents] == [("env://CONFIG", "routes: []")]


@pytest.mark.parametrize("url", ["env://", "env://A,B", "env://A/b", "env://MISSING"])
def test_a_url_that_names_no_variable_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="names"):
        EnvironmentSource(source_url(EnvironmentSource, url), context(A="", B=""))


@pytest.mark.usefixtures("installed")
def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(next(block.text for block in blocks_of(EXAMPLE / "README.md") if block.language == "yaml"))

    result = CliRunner().invoke(command_line, ["check", "-c", str(config)])

    assert result.exit_code == 0, result.output


def test_options_of_the_strategy_are_refused() -> None:
    with pytest.raises(ValueError, match='unknown key "sticky": it takes no keys'):
        factory_config(FirstAvailable, {"sticky": True})
