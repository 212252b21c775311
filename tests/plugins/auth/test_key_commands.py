"""The commands as a user runs them, and what a running gateway makes of the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from gateway_core.cli.root import gateway as command_line
from gateway_plugin_auth import Auth
from gateway_plugin_auth.config import AuthConfig
from gateway_plugin_auth.key_commands import auth
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, StartGateway, eventually, one_route

SECONDS = 10
"""Between two looks at a file."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(auth, ["key", *arguments])


def new(file: Path, *options: str) -> Any:
    done = run("new", str(file), "--subject", "phone", *options, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def listed(file: Path) -> Any:
    return json.loads(run("list", str(file), "--json").stdout)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.mark.one_protocol(reason="the commands are looked at; requests with keys are in test_renewal.py")
def test_a_key_lets_its_caller_in_until_it_is_revoked(
    gateway: StartGateway, upstream: ScriptedUpstream, clock: ManualClock, file: Path
) -> None:
    line = [sys.executable, "-m", "gateway_core.cli", "auth", "key", "new", str(file), "--subject", "phone"]
    first = subprocess.run([*line, "--group", "staff"], capture_output=True, text=True, check=True, timeout=50)
    key = first.stdout.removesuffix("\n")
    key_id = "_".join(key.split("_")[:2])
    assert key_id in first.stderr
    assert key not in first.stderr
    config = {
        "scheme": "api-key", "keys_file": str(file), "claims_to_headers": {"X-Key": "key_id"},
        "claims": [{"claim": "groups", "contains": "staff"}],
    }  # fmt: skip
    running = gateway(one_route(upstream.url, {"name": "auth", "config": {"providers": {"apps": config}}}))

    def status(key: str) -> int:
        return running.get("/", headers={"X-API-Key": key}).status

    assert status(key) == 200
    assert upstream.last.headers["x-key"] == key_id
    assert status(f"{key}x") == 401

    other = new(file, "--group", "staff")["key"]
    clock.advance(SECONDS)
    eventually(lambda: status(other) == 200)

    assert CliRunner().invoke(command_line, ["auth", "key", "revoke", str(file), key_id]).exit_code == 0
    clock.advance(SECONDS)
    eventually(lambda: status(key) == 401)
    assert status(other) == 200

    file.write_text(file.read_text() + '{"subject": "car", "key": "hush", "expires": "soon"}\n')
    clock.advance(SECONDS)

    def warnings() -> list[str]:
        assert status(other) == 200
        assert status(key) == 401
        messages = [record.getMessage() for record in running.logs]
        return [text for text in messages if text.startswith(f"cannot load {file}: line 4: ") and "'soon'" in text]

    assert eventually(warnings)[0].endswith("the last one stays in use")
    messages = [record.getMessage() for record in running.logs]
    assert any(f"revoked (key {key_id})" in text for text in messages)
    assert any("refused" in text and "unknown-key" in text for text in messages)
    assert not [text for text in messages if key in text or other in text or "hush" in text]


def test_what_is_given_becomes_claims_of_the_caller(file: Path) -> None:
    made = new(file, "--group", "a", "--group", "b", "--scope", "read", "--scope", "write", "--claim", 'tier="gold"')

    claims = {"groups": ["a", "b"], "scope": "read write", "tier": "gold"}
    assert made["claims"] == claims
    assert listed(file) == [
        {"id": made["id"], "subject": "phone", "state": "active", "expires": None, "claims": claims}
    ]


def test_the_key_is_the_only_line_on_standard_output_and_is_not_shown_again(file: Path) -> None:
    done = run("new", str(file), "--subject", "phone", "--prefix", "shop-live")

    key = done.stdout.removesuffix("\n")
    assert key.startswith("shop-live_")
    assert "\n" not in key
    assert key not in done.stderr
    shown = run("list", str(file)).output + run("list", str(file), "--json").output + file.read_text()
    assert key not in shown
    assert key.rpartition("_")[2] not in shown


def test_the_list_shows_the_state_of_each_key(file: Path) -> None:
    made = [new(file, "--expires", "90d"), new(file), new(file, "--expires", "2999-01-01T00:00:00+01:00")]
    assert run("revoke", str(file), made[1]["id"]).exit_code == 0
    file.write_text(file.read_text() + '{"subject": "car", "key": "hush", "expires": "2000-01-01T00:00:00Z"}\n')

    assert [each["state"] for each in listed(file)] == ["active", "revoked", "active", "expired"]
    head, *rows = run("list", str(file)).stdout.splitlines()
    assert head.split() == ["ID", "SUBJECT", "STATE", "EXPIRES", "CLAIMS"]
    assert rows[0].split() == [made[0]["id"], "phone", "active", made[0]["expires"], "-"]
    assert (
        len({row.index(state) for row, state in zip(rows, ["active", "revoked", "active", "expired"], strict=True)})
        == 1
    )
    assert "hush" not in "".join(rows)


def test_a_file_without_keys_is_no_error(file: Path) -> None:
    file.write_text("# none yet\n")

    assert run("list", str(file)).stdout == "no keys\n"
    assert listed(file) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "Missing option '--subject'"),
        (["--subject", ""], "'--subject': give it printable characters"),
        (["--subject", "a\nb"], "'--subject': give it printable characters"),
        (["--subject", "a", "--group", "\udcff"], "'--group': give it printable characters"),
        (["--subject", "a", "--expires", "soon"], "'soon' is not a time: write for example"),
        (["--subject", "a", "--expires", "2999-01-01"], "'2999-01-01' has no zone"),
        (["--subject", "a", "--expires", "2000-01-01T00:00:00Z"], "is not in the future"),
        (["--subject", "a", "--expires", "0s"], "is not in the future"),
        (["--subject", "a", "--claim", "tier=gold"], "'tier=gold' is not NAME=JSON"),
        (["--subject", "a", "--claim", "=1"], "'=1' is not NAME=JSON"),
        (["--subject", "a", "--prefix", "a_b"], "1 to 32 letters, digits and dashes"),
    ],
)
def test_wrong_usage_is_refused_and_makes_no_file(file: Path, options: list[str], problem: str) -> None:
    done = run("new", str(file), *options)

    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in " ".join(done.stderr.split())
    assert not file.exists()


@pytest.mark.parametrize("command", [["new", "--subject", "a"], ["list"], ["revoke", "gw_none"]])
def test_problems_of_a_file_are_named_on_standard_error(file: Path, command: list[str]) -> None:
    first, *others = command
    file.write_text('\n{"subject": "a", "key": "hush", "x": 1}\n')

    wrong = run(first, str(file), *others)
    missing = run(first, str(file.with_name("none") / "keys"), *others)

    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr == f"{file}: line 2: ['x']: Extra inputs are not permitted\n"
    assert (missing.exit_code, missing.stdout) == (3, "")
    assert missing.stderr.endswith(": No such file or directory\n")


def test_an_id_that_is_not_there_is_a_problem(file: Path) -> None:
    new(file)

    done = run("revoke", str(file), "gw_none")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no key 'gw_none'" in done.stderr


def test_a_key_that_cannot_be_printed_is_named_to_be_revoked(file: Path) -> None:
    program = "from gateway_plugin_auth.key_commands import auth; auth()"
    line = [sys.executable, "-c", program, "key", "new", str(file), "--subject", "phone"]

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=50)

    (entry,) = listed(file)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("standard output cannot be written: No space left on device")
    assert last.endswith(f"; revoke {entry['id']}, and make another key")


def test_check_accepts_what_the_commands_write(file: Path) -> None:
    made = new(file, "--expires", "90d")
    run("revoke", str(file), made["id"])

    config = {"providers": {"apps": {"scheme": "api-key", "keys_file": str(file)}}}

    assert list(Auth.check_config(AuthConfig.model_validate(config))) == []
