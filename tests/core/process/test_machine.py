from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.process.machine import available_cpus, cgroup_quota


def groups(tmp_path: Path, lines: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write /proc/self/cgroup and what is below /sys/fs/cgroup; return both paths."""
    proc, mount = tmp_path / "cgroup", tmp_path / "mount"
    proc.write_text(lines)
    for name, text in files.items():
        path = mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, mount


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/app\n", {"app/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/pod/app\n", {"pod/cpu.max": "200000 100000\n", "pod/app/cpu.max": "max 100000\n"}, 2.0),
        ("0::/pod/app\n", {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "100000 100000\n"}, 1.0),
        ("0::/the/hosts/path\n", {"cpu.max": "100000 100000\n"}, 1.0),
        (
            "4:cpu,cpuacct:/app\n3:memory:/app\n",
            {"cpu,cpuacct/app/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/app/cpu.cfs_period_us": "100000\n"},
            2.5,
        ),
        (
            "4:cpu,cpuacct:/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None),
        ("", {}, None),
    ],
)
def test_the_quota_is_the_least_of_the_groups_above(
    tmp_path: Path, lines: str, files: dict[str, str], quota: float | None
) -> None:
    assert cgroup_quota(*groups(tmp_path, lines, files)) == quota


def test_a_part_of_a_cpu_is_one_and_no_more_than_there_are(tmp_path: Path) -> None:
    assert available_cpus(*groups(tmp_path, "0::/\n", {"cpu.max": "10000 100000\n"})) == 1
    assert available_cpus(*groups(tmp_path, "0::/\n", {"cpu.max": "99900000 100000\n"})) == len(os.sched_getaffinity(0))
