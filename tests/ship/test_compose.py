"""The composed services: what can be held against their own programs without a container runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gateway_core.cli import main

from tests.programs import program

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"


def test_compose_takes_the_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*command, COMPOSE / "compose.yaml"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_that_is_mounted_is_there() -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]

    mounted = [volume.split(":")[0] for each in services.values() for volume in each.get("volumes", ())]
    files = [path for path in mounted if path.startswith(".")]
    assert len(files) > 5
    assert [path for path in files if not (COMPOSE / path).exists()] == []
    build = services["gateway"]["build"]
    assert (COMPOSE / build["context"] / build["dockerfile"]).is_file()


def test_the_configuration_is_valid_and_names_the_services(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "-c", str(COMPOSE / "gateway")])

    assert ended.value.code == 0, capsys.readouterr().err
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    text = (COMPOSE / "gateway" / "gateway.yaml").read_text()
    assert {name for name in services if f"//{name}:" in text} == {"users", "orders", "valkey"}


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    text = (COMPOSE / "prometheus.yml").read_text()
    inside = tmp_path / "prometheus.yml"
    inside.write_text(text.replace("/etc/prometheus/rules", str(COMPOSE.parent / "prometheus")))

    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "config", inside], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout
