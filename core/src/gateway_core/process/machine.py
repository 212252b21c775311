"""What only this machine knows: how many CPUs there are for workers, and whether files and sockets can be used.

The CPUs are those of the process's affinity, within the quota of its control group (containers).
"""

from __future__ import annotations

import grp
import math
import os
import pwd
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, GatewayConfig, ListenTlsConfig, LoadedConfig, parse_listen
from gateway_core.config.address import ListenAddress
from gateway_core.observe.tracing.settings import why_unusable
from gateway_core.process.certificates import CertificateError, files_of, load_certificates
from gateway_core.process.sockets import BindError, bind_unix, close, unusable_path
from gateway_core.snapshot.tls_files import unreadable_files, upstream_tls_problems

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


def socket_problems(loaded: LoadedConfig) -> Iterator[ConfigProblem]:
    """Find unix sockets that cannot be made, or not given to their owner, on this machine; a start would fail."""
    for key_path, address in _addresses(loaded):
        if address.path and (reason := unusable_path(address.path)) is not None:
            yield ConfigProblem(loaded.place_of(key_path), key_path, reason, code="listen.unavailable")
    for index, listen in enumerate(loaded.config.listen):
        unknown = None if listen.owner is None else _unknown_owner(listen.owner)
        if unknown is not None:
            key_path = f"listen[{index}].owner"
            message = f"there is no {unknown} on this machine"
            yield ConfigProblem(
                loaded.place_of(key_path),
                key_path,
                message,
                code="listen.owner-unknown",
                remedy="create it, or give its number",
            )


def place_problems(loaded: LoadedConfig) -> Iterator[ConfigProblem]:
    """Warn of hosts to listen on that are not this machine's, and of directories in which this user may not make a
    socket: a start would fail here. Blocks: names are resolved, files made.
    """
    access = {f"listen[{index}].address": (each.mode, each.owner) for index, each in enumerate(loaded.config.listen)}
    for key_path, address in _addresses(loaded):
        if address.path and unusable_path(address.path) is None:
            refused = _refused_path(address.path, *access.get(key_path, (None, None)))
            if refused is not None:
                yield ConfigProblem(
                    loaded.place_of(key_path),
                    key_path,
                    f"this user cannot listen on unix:{address.path}: {refused}",
                    code="listen.unavailable",
                    severity="warning",
                    remedy="write a path that the user who is to run it may use",
                )
        reason = _unusable_host(address.host) if address.host else None
        if reason is not None:
            yield ConfigProblem(
                loaded.place_of(key_path),
                key_path,
                f"this machine cannot listen on {address.host}: {reason}",
                code="listen.unavailable",
                severity="warning",
                remedy="write an address of the machine that is to run it, or only :port for every interface",
            )


def _addresses(loaded: LoadedConfig) -> list[tuple[str, ListenAddress]]:
    places = [(f"listen[{index}].address", listen.parsed) for index, listen in enumerate(loaded.config.listen)]
    if loaded.config.admin is not None:
        places += [(key_path, parse_listen(text)) for key_path, text in loaded.config.admin.addresses()]
    return places


def certificate_problems(loaded: LoadedConfig) -> Iterator[ConfigProblem]:
    """Find what is wrong with the certificate files of listeners, the admin listener and upstreams. Blocks.

    A serving process looks for them only where it fails, so that what it says is what ``gateway check`` says.
    """
    for key_path, tls in _tls_of_listeners(loaded.config):
        failures = list(unreadable_files(tls, key_path, files_of(tls), loaded.place_of))
        yield from failures
        try:
            flaws = () if failures else load_certificates(tls).flaws(SystemClock().wall())
            for flaw in flaws:
                where = f"{key_path}.{flaw.key}" if flaw.key else key_path
                yield ConfigProblem(loaded.place_of(where), where, flaw.text, code=flaw.code, severity="warning")
        except CertificateError as error:
            place = loaded.place_of(key_path)
            yield ConfigProblem(place, key_path, error.reason, code="tls.unusable", remedy=error.remedy)
    for index, upstream in enumerate(loaded.config.upstreams):
        yield from upstream_tls_problems(upstream, f"upstreams[{index}].tls", loaded.place_of)


def _tls_of_listeners(config: GatewayConfig) -> Iterator[tuple[str, ListenTlsConfig]]:
    for index, listen in enumerate(config.listen):
        if listen.tls is not None:
            yield f"listen[{index}].tls", listen.tls
    if config.admin is not None and config.admin.tls is not None:
        named = {name: text for name, text in config.admin.tls.model_dump().items() if text}
        yield "admin.tls", ListenTlsConfig.model_validate(named)


def tracing_problems(loaded: LoadedConfig, environ: Mapping[str, str]) -> Iterator[ConfigProblem]:
    """Find why spans cannot be exported from this machine; a start would fail. Blocks.

    :param environ: whose standard variables say what the configuration leaves open.
    """
    tracing = loaded.config.tracing
    reason = None if tracing is None else why_unusable(tracing, environ)
    if reason is not None:
        paths = [f"tracing.otlp.{key}" for key in ("protocol", "ca", "cert", "key")]
        key_path = next((path for path in paths if path in loaded.places), "tracing")
        yield ConfigProblem(loaded.place_of(key_path), "tracing.otlp", reason, code="tracing.unusable")


def _refused_path(path: str, mode: str | None, owner: str | None) -> str | None:
    """Return why this process may not make a unix socket beside a path, with that mode and owner; None if it may.

    One of another name is made and removed again, as rights, mounts and file systems all have a say. Blocks.
    """
    beside = Path(path).with_name(f".{secrets.token_hex(4)}")
    if len(bytes(beside)) > len(path.encode()):
        return None  # it might be too long where the path itself is not
    try:
        close(bind_unix(str(beside), mode, owner))
    except BindError as error:
        return str(error).removeprefix(f"cannot listen on unix:{beside}: ").replace(str(beside), path)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _unusable_host(host: str) -> str | None:
    """Return why no socket can be bound to a host; None if one can, whatever its port. Blocks: names are resolved."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(where)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _unknown_owner(owner: str) -> str | None:
    """Return what of ``user:group`` this machine does not know, such as ``user 'www'``; None if it knows both."""
    user, _, group = owner.partition(":")
    for kind, name, find in (("user", user, pwd.getpwnam), ("group", group, grp.getgrnam)):
        try:
            if name and not name.isdigit():
                find(name)
        except KeyError:
            return f"{kind} {name!r}"
    return None
