from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_plugin_sdk.certificates import certificate_findings

from tests.core.process.certificates import Pair, make


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("pair"), "localhost")


def codes(files: dict[str, str | Path | None]) -> list[tuple[tuple[str | int, ...], str]]:
    return [(finding.path, finding.code) for finding in certificate_findings(("tls",), files)]


def test_files_that_belong_together_are_fine(pair: Pair) -> None:
    assert codes({"ca": pair.cert, "cert": pair.cert, "key": pair.key}) == []
    assert codes({"ca": None, "cert": None, "key": None}) == []


def test_a_missing_file_and_one_that_is_no_file_are_found_at_their_option(pair: Pair, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    found = codes({"ca": tmp_path / "fifo", "cert": pair.cert, "key": tmp_path / "away.pem"})

    assert found == [(("tls", "ca"), "file-unreadable"), (("tls", "key"), "file-missing")]


def test_a_key_of_another_certificate_is_found(pair: Pair, tmp_path: Path) -> None:
    other = make(tmp_path, "other")

    assert codes({"cert": pair.cert, "key": other.key}) == [(("tls",), "file-invalid")]
