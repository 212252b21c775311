"""Files that are not nginx's, broken ones, and what they include."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from gateway_core.cli.root import gateway as command_line
from gateway_import.failures import CannotImportError

from tests.importing import import_text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no `http`, `server` or `upstream`"),
        ("services:\n- name: a\n", "is no configuration of nginx"),
        ("server {\n listen 80;\n", "is no configuration of nginx"),
        ("server { listen 80; } }", "is no configuration of nginx"),
        ("server { include /etc/passwd; }", "standard input has no folder"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(CannotImportError, match="stdin") as raised:
        import_text("nginx", text)

    assert message in str(raised.value)


def test_files_are_included_below_the_first_one_only(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("server { listen 80; return 204; }")
    file = tmp_path / "nginx.conf"

    file.write_text("http { include mime.types; include conf.d/*.conf; }")
    inside = CliRunner().invoke(command_line, ["import", "nginx", str(file)])
    file.write_text("http { include /etc/hostname; }")
    outside = CliRunner().invoke(command_line, ["import", "nginx", str(file)])

    assert (inside.exit_code, "status: 204" in inside.stdout) == (0, True)
    assert outside.exit_code == 1
    assert "is not below" in outside.stderr


def test_something_lost_is_exit_status_1_and_strict_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text("server { listen 80; location / { auth_jwt x; return 204; } }")

    lost = CliRunner().invoke(command_line, ["import", "nginx", str(file)])
    strict = CliRunner().invoke(command_line, ["import", "nginx", str(file), "--strict"])

    assert (lost.exit_code, "routes:" in lost.stdout) == (1, True)
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert f"{file}:1: lost: auth_jwt x (a guard" in lost.stderr


@pytest.mark.parametrize("pattern", ["proxy_params", "/etc/nginx/proxy_params", "snippets/guard.conf"])
def test_an_included_file_that_is_not_there_is_an_error_as_its_fields_would_be_lost(
    tmp_path: Path, pattern: str
) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text(f"server {{ listen 80; location / {{ include {pattern}; proxy_pass http://u; }} }}")

    result = CliRunner().invoke(command_line, ["import", "nginx", str(file)])

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file}:1" in result.stderr
