from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway_core.admin.access import caller_of_token
from gateway_core.admin.tokens import PREFIX, TokenFile, TokenFileError, expire_named, make_token


def test_a_token_is_kept_by_its_hash_in_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "state")
    text, kept = make_token("ops", "operator", 100.0, lifetime=60.0)

    file.change(lambda _: [kept])

    assert text.startswith(PREFIX)
    assert text.removeprefix(f"{PREFIX}{kept.id}_") not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.load() == (kept,)
    found = caller_of_token(text, [each.token for each in file.load()], 159.0)
    assert found is not None
    assert (found.name, found.role) == ("ops", "operator")
    assert caller_of_token(text, [each.token for each in file.load()], 160.0) is None


def test_what_another_process_writes_counts_at_once(tmp_path: Path) -> None:
    reader, writer = TokenFile(tmp_path), TokenFile(tmp_path)
    assert reader.load() == ()
    _, kept = make_token("ops", "viewer", 1.0, lifetime=None)

    writer.change(lambda _: [kept])
    assert reader.load() == (kept,)
    writer.change(lambda _: [])
    assert reader.load() == ()
    writer.path.unlink()
    assert reader.load() == ()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 2, "tokens": []}', '{"format": 1, "tokens": [{"id": "a"}]}']
)
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    file = TokenFile(tmp_path)
    file.path.write_text(content)

    with pytest.raises(TokenFileError, match="damaged"):
        file.load()
    with pytest.raises(TokenFileError, match="damaged"):
        file.load()


def test_a_role_that_is_unknown_is_damage(tmp_path: Path) -> None:
    file = TokenFile(tmp_path)
    _, kept = make_token("ops", "viewer", 1.0, lifetime=None)
    file.path.write_text(json.dumps({"format": 1, "tokens": [{**kept.to_plain(), "role": "root"}]}))

    with pytest.raises(TokenFileError, match="no role"):
        file.load()


def test_a_file_that_anyone_may_write_is_refused(tmp_path: Path) -> None:
    file = TokenFile(tmp_path)
    file.change(lambda _: [])
    file.path.chmod(0o666)
    fresh = TokenFile(tmp_path)

    with pytest.raises(TokenFileError):
        fresh.load()


def test_replaced_tokens_are_taken_for_a_while(tmp_path: Path) -> None:
    _, old = make_token("ops", "viewer", 0.0, lifetime=None)
    _, other = make_token("ci", "viewer", 0.0, lifetime=None)
    _, short = make_token("ops", "viewer", 0.0, lifetime=5.0)

    expired = [each.token.expires for each in expire_named([old, other, short], "ops", 60.0)]

    assert expired == [60.0, None, 5.0]


def test_two_changes_at_one_time_lose_no_token(tmp_path: Path) -> None:
    def add(number: int) -> None:
        _, kept = make_token(f"n{number}", "viewer", 1.0, lifetime=None)
        TokenFile(tmp_path).change(lambda there: [*there, kept])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))

    assert {each.token.name for each in TokenFile(tmp_path).load()} == {f"n{number}" for number in range(24)}
