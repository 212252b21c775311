from __future__ import annotations

import pytest
from gateway_core.config.first_party import FIRST_PARTY, install_advice

from tests.contract.repository import ROOT


def test_the_list_is_that_of_the_repository() -> None:
    assert {path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").is_file()} == FIRST_PARTY


@pytest.mark.parametrize("name", ["ratelimt", "jwt", "Auth", "auth ", "auth; rm", "", "kubernetes2"])
def test_names_that_are_not_ours_are_not_advised(name: str) -> None:
    assert install_advice(name) == ""


def test_ours_are_advised() -> None:
    assert install_advice("auth") == "pip install gateway-plugin-auth"
