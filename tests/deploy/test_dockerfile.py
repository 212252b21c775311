"""The image has every optional library of the distributions in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_TESTS = {"test"}


def extras() -> Iterator[tuple[str, str]]:
    for file in (ROOT / "core" / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))):
        for extra in tomllib.loads(file.read_text("utf-8"))["project"].get("optional-dependencies", ()):
            if extra not in FOR_TESTS:
                yield file.parent.relative_to(ROOT).as_posix(), extra


@pytest.mark.parametrize(("folder", "extra"), list(extras()))
def test_the_image_is_built_with_every_extra(folder: str, extra: str) -> None:
    written = re.findall(r'"\./([\w/-]+)\[([\w,]+)\]"', (ROOT / "deploy" / "Dockerfile").read_text("utf-8"))

    assert extra in dict(written).get(folder, "").split(",")
