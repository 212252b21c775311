from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config.substitution import Substitution

ENVIRON = {"NAME": "users", "NUMBER": "12", "ZERO": "007", "EMPTY": "", "FLAG": "true", "NESTED": "${NAME}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NAME}", "users"),
        ("a-${NAME}-${NUMBER}", "a-users-12"),
        ("${MISSING:-fallback}", "fallback"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME", "$NAME"),
        ("${NESTED}", "${NAME}"),
        ("${URL:-http://127.0.0.1:80}", "http://127.0.0.1:80"),
    ],
)
def test_references_are_replaced_once(text: str, value: str) -> None:
    assert Substitution(ENVIRON).resolve(text, plain=False, directory=None) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NUMBER}", 12),
        ("${FLAG}", True),
        ("${PORT:-8080}", 8080),
        ("${ZERO}", "007"),
        ("${EMPTY}", ""),
        ("x${NUMBER}", "x12"),
    ],
)
def test_plain_scalar_that_is_wholly_one_reference_is_typed(text: str, value: object) -> None:
    assert Substitution(ENVIRON).resolve(text, plain=True, directory=None) == value
    assert isinstance(Substitution(ENVIRON).resolve(text, plain=False, directory=None), str)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${JWT_SECRET}", r"JWT_SECRET is not set in the environment: set it, or read a file: \$\{file:/path\}$"),
        ("${MISSING}", r"MISSING is not set in the environment: set it, or give a default: \$\{MISSING:-default\}"),
        ("${NUMBR}", 'did you mean "NUMBER"'),
        ("${NAME", "no closing"),
        ("${}", "neither"),
        ("${a b}", "neither"),
        ("${NAME-x}", "neither"),
        ("${file:relative}", "no absolute path"),
        ("${file:}", "no absolute path"),
        ("${file:/does/not/exist}", "does not exist"),
    ],
)
def test_reference_that_leads_nowhere_says_what_to_do(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Substitution(ENVIRON).resolve(text, plain=True, directory=None)


def test_files_are_read_without_one_final_newline_and_stay_text(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("12\n\n")
    (tmp_path / "number").write_text("12\r\n")
    substitution = Substitution({})

    assert substitution.resolve("${file:secret}", plain=True, directory=tmp_path) == "12\n"
    assert substitution.resolve(f"${{file:{tmp_path}/number}}", plain=True, directory=None) == "12"
    assert substitution.files == [tmp_path / "secret", tmp_path / "number"]


def test_missing_files_are_remembered_for_the_watcher(tmp_path: Path) -> None:
    substitution = Substitution({})

    with pytest.raises(ValueError, match="does not exist"):
        substitution.resolve("${file:later}", plain=True, directory=tmp_path)
    assert substitution.files == [tmp_path / "later"]


def test_files_that_are_not_text_or_too_large_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))

    for name, reason in {"binary": "not UTF-8", "large": "larger than"}.items():
        with pytest.raises(ValueError, match=reason):
            Substitution({}).resolve(f"${{file:{name}}}", plain=True, directory=tmp_path)
