from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from gateway_core.cli.root import gateway
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.fields import DEFAULT_FIELDS, FIELDS
from gateway_plugin_logger.redaction.bodies import SECRET_MEMBERS
from gateway_plugin_logger.redaction.queries import SECRET_PARAMETERS

README = Path(__file__).parents[3] / "plugins" / "logger" / "README.md"
TEXT = README.read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_configuration_that_loads(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_HASH_KEY", "k" * 32)
    path = tmp_path / "gateway.yaml"
    path.write_text(example)

    result = CliRunner().invoke(gateway, ["check", "--offline", "-c", str(path)])

    assert result.exit_code == 0, result.output


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _keys(inner)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


def test_every_option_has_an_example() -> None:
    schema = LoggerConfig.model_json_schema()
    options = {key for model in (schema, *schema["$defs"].values()) for key in model["properties"]}

    shown = _keys([yaml.safe_load(example) for example in EXAMPLES])

    assert options - shown == set()


def fields_table() -> str:
    rows = ["| field | default | meaning |", "|---|---|---|"]
    rows += [f"| `{f.name}` | {'yes' if f.name in DEFAULT_FIELDS else ''} | {f.description} |" for f in FIELDS.values()]
    return "\n".join(rows)


def test_the_table_of_fields_is_that_of_the_catalogue() -> None:
    written = TEXT.partition("<!-- fields -->\n")[2].partition("\n\n")[0].strip()

    assert written == fields_table(), f"put this table behind <!-- fields --> in README.md:\n{fields_table()}"


def test_the_numbers_of_what_is_hidden_are_right() -> None:
    assert f"| `redact.query` | a list of {len(SECRET_PARAMETERS)} |" in TEXT
    assert f"| `redact.members` | a list of {len(SECRET_MEMBERS)} |" in TEXT
