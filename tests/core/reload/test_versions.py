from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.versions import (
    MOST_BYTES,
    MOST_VERSIONS,
    Pin,
    VersionEntry,
    VersionStore,
    bounded,
    with_codes_of,
)

PIN = Pin(1, "ops", 5.0, "bad deploy")


def bundle(version: str) -> ConfigBundle:
    return ConfigBundle(version, (b"{}", f'"{version}"'.encode()), 2, {"auth": "1"})


def test_versions_are_there_for_the_next_process(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "state", ["a.yaml"])
    assert (store.entries(), store.pin(), store.pinned()) == ((), None, None)

    store.keep(bundle("v1"), 1.0, "start", "all")
    store.keep(bundle("v1"), 2.0, "SIGHUP", "nothing")
    store.keep(bundle("v2"), 3.0, "a.yaml changed", "1 route")
    store.set_pin(PIN)

    again = VersionStore(tmp_path / "state", ["a.yaml"])
    assert [(each.number, each.version, each.trigger) for each in again.entries()] == [
        (1, "v1", "start"),
        (2, "v2", "a.yaml changed"),
    ]
    assert (again.pin(), again.pinned(), again.load(2)) == (PIN, bundle("v1"), bundle("v2"))
    assert {path.stat().st_mode & 0o777 for path in store.folder.iterdir()} == {0o600}
    assert VersionStore(tmp_path / "state", ["b.yaml"]).entries() == ()
    again.set_pin(None)
    assert VersionStore(tmp_path / "state", ["a.yaml"]).pinned() is None


def test_old_versions_go_and_the_pinned_one_stays(tmp_path: Path) -> None:
    store = VersionStore(tmp_path, [])
    store.keep(bundle("v1"), 1.0, "start", "")
    store.set_pin(PIN)

    for number in range(2, MOST_VERSIONS + 5):
        store.keep(bundle(f"v{number}"), float(number), "", "")

    numbers = [each.number for each in store.entries()]
    assert numbers == [1, *range(5, MOST_VERSIONS + 5)]
    assert len(list(store.folder.glob("*.version"))) == len(numbers)
    with pytest.raises(LookupError):
        store.load(2)


def test_bytes_are_bounded_but_for_what_is_in_force() -> None:
    entries = [VersionEntry(number, "", 0.0, "", "", MOST_BYTES // 2) for number in range(1, 5)]

    assert [each.number for each in bounded(entries, None)] == [3, 4]
    assert [each.number for each in bounded(entries, 1)] == [1, 3, 4]
    assert len(bounded([VersionEntry(1, "", 0.0, "", "", 2 * MOST_BYTES)], None)) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"format": 9}', '{"format": 1, "versions": [{}], "pin": null}'])
def test_a_damaged_table_is_an_error_and_no_empty_one(tmp_path: Path, content: str) -> None:
    store = VersionStore(tmp_path, [])
    store.folder.mkdir()
    (store.folder / "table.json").write_text(content)

    with pytest.raises(ValueError, match=r"damaged|another version|Expecting"):
        store.pin()


def test_a_damaged_version_is_an_error(tmp_path: Path) -> None:
    store = VersionStore(tmp_path, [])
    store.keep(bundle("v1"), 1.0, "start", "")
    next(store.folder.glob("*.version")).write_bytes(b"x")

    with pytest.raises(ValueError, match="damaged"):
        store.load(1)


def test_a_version_runs_with_the_code_that_is_installed_now() -> None:
    old, running = ConfigBundle("a", (), 1, {"auth": "1", "gone": "1"}), ConfigBundle("b", (), 1, {"auth": "2"})

    assert with_codes_of(old, running).plugins == {"auth": "2", "gone": "1"}


def test_gateways_that_share_a_directory_use_no_number_twice_and_share_the_pin(tmp_path: Path) -> None:
    one, two = (VersionStore(tmp_path, ["gateway.yaml"]) for _ in range(2))
    one.entries(), two.entries()

    for number, store in enumerate([one, two, two, one]):
        store.keep(bundle(f"v{number}"), float(number), "SIGHUP", "")
    two.set_pin(Pin(1, "ops", 9.0))

    assert [(each.number, each.version) for each in one.entries()] == [(n + 1, f"v{n}") for n in range(4)]
    assert one.pin() == Pin(1, "ops", 9.0)
    assert [one.load(number).version for number in (1, 2, 3, 4)] == ["v0", "v1", "v2", "v3"]


def test_a_directory_that_cannot_be_entered_is_not_one_without_a_pin(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.symlink_to(state)

    with pytest.raises(OSError, match="symbolic links"):
        VersionStore(state, ["gateway.yaml"]).pin()
