from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gateway_core.packages import installed_plugins
from gateway_core.packages.distributions import LARGEST, MetadataError, distributions, path_stamp, read_metadata_file
from gateway_core.packages.environment import EnvironmentWatch, PluginWatch
from gateway_core.packages.installed import RememberedPlugins

from tests.core.packages.test_environment import install, site

__all__ = ["site"]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Take all free descriptors of this process away."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def bind_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)  # the path may be too long for an address
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "named pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "socket": bind_socket,
    "directory": Path.mkdir,
    "large file": make_large,
    "link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("name", ["entry_points.txt", "METADATA", "RECORD"])
@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR.keys())
def test_a_metadata_file_that_is_none_is_named_and_hides_no_other_distribution(
    site: Path, make: Callable[[Path], object], name: str
) -> None:
    install(site, "zoo", "1")
    metadata = install(site, "odd", "1")
    (metadata / name).unlink()
    make(metadata / name)

    found = installed_plugins()

    assert "zoo" in found.plugins
    assert "odd" not in found.plugins
    (broken,) = found.broken
    assert str(metadata) in str(broken)
    assert name in str(broken)


def test_the_longest_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "RECORD"
    with path.open("wb") as file:
        file.truncate(LARGEST)

    assert len(read_metadata_file(path) or "") == LARGEST


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert read_metadata_file(tmp_path / "gone") is None
    assert read_metadata_file(tmp_path / "file" / "below") is None


def test_a_pipe_with_a_writer_is_no_file_either(tmp_path: Path) -> None:
    path = tmp_path / "METADATA"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, b"Name: zoo\n")

    with pytest.raises(MetadataError, match="METADATA is not a regular file"):
        read_metadata_file(path)
    os.close(reader)
    os.close(writer)


def test_archives_eggs_and_single_files_are_read_as_well(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    egg = site / "laid-1.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Name: laid\nVersion: 1\n")
    monkeypatch.syspath_prepend(egg)
    (site / "old-2.egg-info").write_text("Name: old\nVersion: 2\n")

    found = {each.metadata["Name"]: each.version for each in distributions()}

    assert (found["laid"], found["old"]) == ("1", "2")


@pytest.mark.parametrize("name", ["loop", "x" * 300])
def test_an_entry_of_the_path_that_names_nothing_hides_no_distribution(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = [each.name for each in distributions()]

    monkeypatch.syspath_prepend(str(tmp_path / name))

    assert [each.name for each in distributions()] == before


def test_without_descriptors_nothing_seems_to_be_removed(site: Path) -> None:
    install(site, "zoo", "1")
    watch = EnvironmentWatch()
    install(site, "other", "1")

    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        watch.look(10.0)
    watch.look(20.0)
    change = watch.look(30.0)

    assert change is not None
    assert (change.added, change.removed, change.changed) == (("other",), (), ())


async def test_a_reload_without_descriptors_goes_on_with_what_was_seen_last(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "zoo", "1")
    watch = PluginWatch(watch=lambda: EnvironmentWatch(settled_after=0.05))
    await watch.start()
    install(site, "other", "1")

    with no_descriptors():
        has_changed = await watch.settle(print)

    assert not has_changed
    assert "what is installed cannot be read: [Errno 24] Too many open files" in caplog.text
    assert await watch.settle(print)


def test_a_plugin_whose_distribution_became_unreadable_is_told_with_the_reason(site: Path) -> None:
    metadata = install(site, "zoo", "1")
    watch = EnvironmentWatch()
    (metadata / "entry_points.txt").unlink()
    os.mkfifo(metadata / "entry_points.txt")
    install(site, "other", "1")

    watch.look(10.0)
    change = watch.look(30.0)

    assert change is not None
    assert (change.added, change.removed) == (("other",), ("zoo",))
    assert "entry_points.txt is not a regular file" in change.broken[0]


def change_version(metadata: Path) -> None:
    file = metadata / "METADATA"
    file.write_text(file.read_text().replace("Version: 1", "Version: 10"))


def publish_nothing(metadata: Path) -> None:
    (metadata / "entry_points.txt").unlink()


def replace_record(metadata: Path) -> None:
    new = metadata / "RECORD.new"
    new.write_text("another.py,,\n")
    new.replace(metadata / "RECORD")


def install_another(metadata: Path) -> None:
    install(metadata.parent, "another", "1")


@pytest.mark.parametrize("change", [change_version, publish_nothing, replace_record, install_another])
def test_plugins_are_remembered_until_a_metadata_file_changes(site: Path, change: Callable[[Path], None]) -> None:
    metadata = install(site, "zoo", "1")
    remembered = RememberedPlugins()
    before = remembered.find()
    assert before == installed_plugins().plugins
    assert remembered.find() is before

    change(metadata)

    assert remembered.find() == installed_plugins().plugins != before


def test_what_is_remembered_of_a_path_ends_with_an_installation_or_a_removal(site: Path) -> None:
    remembered = RememberedPlugins(path_stamp)
    before = remembered.find()
    assert remembered.find() is before

    metadata = install(site, "zoo", "1")
    with_another = remembered.find()
    metadata.rename(site / "removed")

    assert with_another == {**before, **with_another} != before
    assert remembered.find() == before
