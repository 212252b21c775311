"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from gateway_core.cli.root import gateway
from gateway_plugin_grpc_web.config import GrpcWebConfig

README = Path(__file__).parents[3] / "plugins" / "grpc-web" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
ROUTE = {"id": "a", "path": "/a", "target": "http://127.0.0.1:1"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_is_valid(example: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"routes": [ROUTE], **yaml.safe_load(example)}))

    result = CliRunner().invoke(gateway, ["check", "-c", str(path)], env={"JWT_SECRET": "0123456789" * 4})

    assert result.exit_code == 0, result.output


def test_every_option_is_in_an_example() -> None:
    assert [name for name in GrpcWebConfig.model_fields if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
