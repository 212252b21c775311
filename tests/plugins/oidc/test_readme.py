"""Every example of the README is a configuration that the plugin takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from gateway_plugin_oidc.config import (
    BearerOptions,
    ClientKeyOptions,
    CookieOptions,
    OidcConfig,
    SessionOptions,
    ValkeyOptions,
)

README = Path(__file__).parents[3] / "plugins" / "oidc" / "README.md"
TEXT = README.read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
IN_TEXT = {"keys_file", "client_secret_file", "tls"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_loads(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("client.key", "client.crt"):
        (tmp_path / name).touch()
    for binding in yaml.safe_load(example)["plugins"]:
        assert OidcConfig.model_validate(binding["config"]).issuer


def test_every_option_is_in_an_example() -> None:
    models = (OidcConfig, CookieOptions, SessionOptions, ValkeyOptions, BearerOptions, ClientKeyOptions)
    names = [name for model in models for name in model.model_fields if name not in IN_TEXT]

    assert [name for name in names if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []


def test_every_reason_is_told() -> None:
    source = "".join(path.read_text() for path in (README.parent / "src").rglob("*.py"))
    patterns = r'Refusal\(\d+, "([a-z-]+)"', r'(?:away|Stale)\("([a-z-]+)"'
    reasons = {reason for pattern in patterns for reason in re.findall(pattern, source)}

    assert len(reasons) > 15
    assert sorted(reason for reason in reasons if f"`{reason}`" not in TEXT and not reason.startswith("token-")) == []
