"""How many CPUs this process may use: by affinity, and by the quota of its control group (containers)."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

_MOUNT = Path("/sys/fs/cgroup")


def available_cpus(proc: Path = Path("/proc/self/cgroup"), mount: Path = _MOUNT) -> int:
    """Return the number of CPUs that this process may use, a part of one counted as one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(proc, mount)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def cgroup_quota(proc: Path, mount: Path) -> float | None:
    """Return the CPUs that the control group of this process and those above it may use; None without a quota.

    Version 2 writes quota and period into ``cpu.max``, version 1 into two files of the controller ``cpu``.
    """
    quotas = [quota for folder in _folders(proc, mount) if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _folders(proc: Path, mount: Path) -> list[Path]:
    try:
        lines = proc.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found: list[Path] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / controllers if controllers else mount
        # In a container the path may be the host's, while the mount shows the container's own group at its root.
        inner = PurePosixPath(group.lstrip("/"))
        found += [root, *(root / part for part in (inner, *inner.parents) if str(part) != ".")]
    return found


def _quota(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return None if quota in {"max", "-1"} else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
