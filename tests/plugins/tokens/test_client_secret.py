from __future__ import annotations

from pathlib import Path

import pytest
from gateway_tokens.client_secret import ClientSecretOptions
from pydantic import ValidationError


def test_a_secret_is_a_value_or_what_a_file_has(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" hush\n")
    given = [{}, {"client_secret": "s3cret"}, {"client_secret_file": str(path)}]

    made = [ClientSecretOptions.model_validate(options) for options in given]

    assert [each.has_client_secret for each in made] == [False, True, True]
    assert [each.client_secret_text() for each in made] == ["", "s3cret", "hush"]
    assert "s3cret" not in repr(made)


def test_a_file_without_a_secret_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" \n")
    options = ClientSecretOptions.model_validate({"client_secret_file": str(path)})

    with pytest.raises(ValueError, match="is empty: write the secret into it"):
        options.client_secret_text()


def test_a_value_beside_a_file_is_refused() -> None:
    with pytest.raises(ValidationError, match="give one of them"):
        ClientSecretOptions.model_validate({"client_secret": "a", "client_secret_file": __file__})
