from __future__ import annotations

import json

import pytest
from gateway_core.reload.bundle import ConfigBundle

HEAD = json.dumps({"files": ["/etc/g.yaml"], "directories": ["/etc/d"], "warnings": []}).encode()
BUNDLE = ConfigBundle("v1", (HEAD, '["ü"]'.encode()), 2, {"auth": "1.0 abc"})


def test_it_travels_as_json() -> None:
    assert ConfigBundle.from_plain(json.loads(json.dumps(BUNDLE.to_plain()))) == BUNDLE


@pytest.mark.parametrize("missing", ["version", "workers", "plugins", "lines"])
def test_what_is_incomplete_is_refused(missing: str) -> None:
    plain = {name: value for name, value in BUNDLE.to_plain().items() if name != missing}

    with pytest.raises(KeyError):
        ConfigBundle.from_plain(plain)


def test_it_tells_which_files_it_was_read_from() -> None:
    assert {str(path) for path in BUNDLE.watch().files} == {"/etc/g.yaml"}
    assert {str(path) for path in BUNDLE.watch().directories} == {"/etc/d"}


@pytest.mark.parametrize(
    ("place_files", "expected"),
    [([], False), (["/etc/g.yaml"], False), (["/etc/g.yaml", "etcd://h/a.yaml"], True), (["configmap/a/b/c"], True)],
)
def test_it_tells_whether_a_source_has_a_part_in_it(place_files: list[str], *, expected: bool) -> None:
    head = json.dumps({"files": ["/etc/g.yaml", "/etc/unused.pem"], "place_files": place_files}).encode()

    assert ConfigBundle("v1", (head,)).has_remote_documents() is expected
