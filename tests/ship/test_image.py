"""The image: built by buildah on a base that debootstrap makes, and run as it is meant to be, on a read-only root.

No daemon and no registry: `chroot` isolation and a base of Debian's own Python.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.programs import program

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/gateway-test"
USER = 65532

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RUN = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs "$1/var/lib/gateway"
mount -t proc proc "$1/proc"
root=$1
shift
exec chroot --userspec=65532:65532 "$root" "$@"
"""
"""What a container runtime does for a container with a read-only root: the mounts, then the program without rights."""


def buildah(*arguments: str | Path, folder: Path) -> str:
    environ = {
        **os.environ,
        "BUILDAH_ISOLATION": "chroot",
        "STORAGE_DRIVER": "vfs",
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    command = [program("buildah", "buildah"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Images and containers of this test alone; what is mounted has to be unmounted before it can go."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
    )
    yield folder
    buildah("rm", "--all", folder=folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def image(folder: Path) -> str:
    base = folder / "base"
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    debootstrap = [program("debootstrap", "debootstrap"), "--variant=minbase", f"--include={packages}"]
    done = subprocess.run([*debootstrap, "bookworm", str(base)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    subprocess.run(["tar", "-C", base, "-cf", folder / "base.tar", "."], check=True)
    shutil.rmtree(base)
    (folder / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    buildah("build", "-f", folder / "Dockerfile", "-t", "localhost/base", folder, folder=folder)
    more: list[str | Path] = []
    settings = folder / "pip.conf"
    settings.write_text("[global]\n" + "".join(pip_settings()))
    # The machine's own certificates and folders of wheels, as a company's mirror would be given.
    for path in ("/etc/ssl/certs", *shared_folders()):
        more += ["--volume", f"{path}:{path}:ro"]
    secret = f"id=pip,src={settings}"
    arguments = ["--secret", secret, "--build-arg", "BASE=localhost/base", "-f", "deploy/Dockerfile", "-t", IMAGE]
    buildah("build", *more, *arguments, ".", folder=folder)
    return IMAGE


def pip_settings() -> Iterator[str]:
    """Yield the machine's own settings of pip, from files and environment, as lines of a pip.conf."""
    done = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in {"cert", "index-url", "extra-index-url", "find-links"}:
            settings[key] = " ".join(ast.literal_eval(value).split())
    return (f"{key} = {value}\n" for key, value in settings.items())


def shared_folders() -> list[str]:
    """Return the folders of this machine that pip's settings name, with what lies beside an index that links to it."""
    words = " ".join(pip_settings()).replace("file://", "").split()
    folders = {Path(word) for word in words if word.startswith("/") and Path(word).is_dir()}
    return sorted(str(each.parent if len(each.parts) > 3 else each) for each in folders)


@pytest.fixture(scope="module")
def root(image: str, folder: Path) -> Path:
    container = buildah("from", image, folder=folder)
    return Path(buildah("mount", container, folder=folder))


def start(root: Path, *command: str, capture: bool = False) -> subprocess.Popen[str]:
    environ = {
        "PATH": "/opt/gateway/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "XDG_RUNTIME_DIR": "/tmp",
        "STATE_DIRECTORY": "/var/lib/gateway",
    }
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", RUN, "sh", str(root)]
    pipe = subprocess.PIPE if capture else None
    return subprocess.Popen([*namespace, *command], env=environ, text=True, stdout=pipe, stderr=subprocess.STDOUT)


def output(root: Path, *command: str) -> str:
    process = start(root, *command, capture=True)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    return text


def test_it_runs_as_an_unknown_user_on_a_read_only_root(root: Path, folder: Path) -> None:
    settings = buildah("inspect", "--type", "image", IMAGE, folder=folder)
    assert '"User": "65532:65532"' in settings
    port = free_port()
    etc = root / "etc" / "gateway" / "gateway.yaml"
    etc.write_text(etc.read_text().replace("0.0.0.0:8080", f"127.0.0.1:{port}"))

    process = start(root, "/usr/bin/tini", "--", "/opt/gateway/bin/gateway", "run", "-c", "/etc/gateway")
    try:
        assert "The gateway runs" in fetched(f"http://127.0.0.1:{port}/")
        main = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        status = Path(f"/proc/{main[0]}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
        os.kill(int(main[0]), signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def fetched(url: str) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            assert time.monotonic() < deadline, f"nothing at {url}"
            time.sleep(0.1)  # until it listens


def test_every_first_party_plugin_loads_in_it(root: Path) -> None:
    listed = output(root, "/opt/gateway/bin/gateway", "plugins", "list")

    names = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    libraries = {"tokens", "openapi", "import"}
    assert {name for name in names - libraries if f"\n{name} " not in f"\n{listed}"} == set()
    assert "cannot be loaded" not in listed


def test_nothing_in_it_installs(root: Path) -> None:
    assert not (root / "opt" / "gateway" / "bin" / "pip").exists()
