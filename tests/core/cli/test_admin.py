from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gateway_core.admin.access import caller_of_token, digest_of
from gateway_core.admin.tokens import TokenFile
from gateway_core.cli.admin import command
from gateway_core.clock import SystemClock


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["token", arguments[0], "--state", str(state), *arguments[1:]])


def test_a_token_is_printed_once_and_taken_at_once(tmp_path: Path) -> None:
    result = run(tmp_path, "new", "ops", "--role", "operator", "--tail", "--expires", "1h")

    assert result.exit_code == 0, result.output
    text = result.stdout.strip()
    (kept,) = TokenFile(tmp_path).load()
    found = caller_of_token(text, [kept.token], SystemClock().wall())
    assert found is not None
    assert (found.name, found.role, found.may_tail) == ("ops", "operator", True)
    assert caller_of_token(text, [kept.token], SystemClock().wall() + 3600) is None


def test_tokens_are_listed_without_hashes_and_revoked_by_name_or_id(tmp_path: Path) -> None:
    for name in ("ops", "ci", "ci"):
        run(tmp_path, "new", name, "--expires", "never")

    listed = json.loads(run(tmp_path, "list", "--json").stdout)
    assert [each["name"] for each in listed] == ["ops", "ci", "ci"]
    assert all("hash" not in each for each in listed)
    assert "never ends" in run(tmp_path, "list").stdout

    assert run(tmp_path, "revoke", listed[0]["id"], "ci").exit_code == 0
    assert TokenFile(tmp_path).load() == ()
    assert "there are no tokens" in run(tmp_path, "list").stdout
    assert run(tmp_path, "revoke", "ops").exit_code == 1


def test_a_token_that_is_replaced_is_taken_for_a_while(tmp_path: Path) -> None:
    old = run(tmp_path, "new", "ops").stdout.strip()
    new = run(tmp_path, "new", "ops", "--overlap", "1h").stdout.strip()
    tokens, now = [each.token for each in TokenFile(tmp_path).load()], SystemClock().wall()

    assert caller_of_token(old, tokens, now) is not None
    assert caller_of_token(new, tokens, now) is not None
    assert caller_of_token(old, tokens, now + 3601) is None
    assert caller_of_token(new, tokens, now + 3601) is not None


def test_a_hash_for_a_configuration_is_kept_nowhere(tmp_path: Path) -> None:
    result = run(tmp_path, "new", "ops", "--hash")

    assert digest_of(result.stdout.strip()) in result.stderr
    assert not TokenFile(tmp_path).path.exists()


@pytest.mark.parametrize(
    "arguments",
    [("new", ""), ("new", "a\nb"), ("new", "x" * 101), ("new", "a", "--expires", "1y"), ("new", "a", "--role", "root")],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path, *arguments).exit_code == 2


def test_a_file_that_cannot_be_used_is_status_3(tmp_path: Path) -> None:
    TokenFile(tmp_path).path.write_text("{")

    assert [run(tmp_path, *each).exit_code for each in (("list",), ("new", "a"), ("revoke", "a"))] == [3, 3, 3]


def test_a_token_that_replaces_another_one_may_do_what_that_may(tmp_path: Path) -> None:
    run(tmp_path, "new", "ops", "--role", "operator", "--tail")

    run(tmp_path, "new", "ops", "--overlap", "1h")
    run(tmp_path, "new", "ops", "--overlap", "1h", "--role", "editor")

    kept = [(each.token.role, each.token.may_tail) for each in TokenFile(tmp_path).load()]
    assert kept == [("operator", True), ("operator", True), ("editor", False)]
