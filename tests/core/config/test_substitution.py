from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config.documents import Right
from gateway_core.config.substitution import Substitution, SubstitutionError
from hypothesis import given
from hypothesis import strategies as st

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
        ("${MISSING:-${NAME}}", "users"),
        ("${MISSING:-${EMPTY:-${NAME}-x}}", "users-x"),
        ("${NAME:-${UNSET}}", "users"),
        ("${RE:-[a-z]{2}}", "[a-z]{2}"),
        ("^${RE:-x{2,3}|(y{1}){4}}$", "^x{2,3}|(y{1}){4}$"),
        ("${MISSING:-$${NAME}}", "${NAME}"),
        ("{${NAME}}", "{users}"),
        ("a{2}${NAME}b{3}", "a{2}usersb{3}"),
        (r"\{${NAME}\}", r"\{users\}"),
        ("${NAME:?who}", "users"),
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
        ("${}", "is none of"),
        ("${a b}", "is none of"),
        ("${NAME-x}", "is none of"),
        ("${NAME:-x", "no closing"),
        ("${MISSING:-${NAME}", "no closing"),
        ("${NAME:-${b c}}", "is none of"),
        ("${MISSING:-a}b}", "left over"),
        ("${NAME}}", "left over"),
        ("${MISSING:?say which host}", "MISSING is not set in the environment: say which host$"),
        ("${EMPTY:?say which host}", "EMPTY is not set in the environment: say which host$"),
        ("${MISSING:?}", "MISSING is not set in the environment: it is needed$"),
        ("${MISSING:-${UNSET:?deep}}", "UNSET is not set in the environment: deep$"),
        ("${A:-" * 30 + "}" * 30, "nests more than 20"),
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


@pytest.mark.parametrize(
    ("text", "rights", "is_allowed"),
    [
        ("${NAME}", set(), False),
        ("${NAME}", {"env"}, True),
        ("${NAME}", {"files"}, False),
        ("${MISSING:-plain}", set(), False),
        ("${file:/etc/hostname}", {"env"}, False),
        ("${MISSING:-${file:/etc/hostname}}", {"env"}, False),
        ("$${NAME}", set(), True),
    ],
)
def test_a_document_brings_in_only_what_it_has_the_right_to(text: str, rights: set[Right], *, is_allowed: bool) -> None:
    substitution = Substitution(ENVIRON)

    if is_allowed:
        substitution.resolve(text, plain=True, directory=None, rights=frozenset(rights))
        return
    with pytest.raises(SubstitutionError, match="is not allowed in a document of this source") as caught:
        substitution.resolve(text, plain=True, directory=None, rights=frozenset(rights))
    assert caught.value.code == "substitution.not-allowed"
    assert substitution.files == []


@given(st.text("ab{}$\\:-?", max_size=30))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    try:
        value = Substitution(ENVIRON).resolve(text, plain=False, directory=None)
    except SubstitutionError:
        return
    assert isinstance(value, str)
