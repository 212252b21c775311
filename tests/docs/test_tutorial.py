"""The tutorial can be followed from top to bottom, in an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.cli.fresh import FreshEnvironment
from tests.docs.blocks import Block, blocks_of
from tests.docs.session import Session

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


class Tutorial(Session):
    """A session that may go into a folder, and installs into an environment of its own."""

    def __init__(self, folder: Path, environment: FreshEnvironment) -> None:
        super().__init__(folder, ports=(8080,))
        scripts = environment.folder / "bin"
        for name, module in {"gateway": "gateway_core.cli", "pytest": "pytest", "pip": "pip"}.items():
            script = scripts / name
            script.write_text(f'#!/bin/sh\nexec "{environment.python}" -m {module} "$@"\n')
            script.chmod(0o755)
        more = {"PATH": f"{scripts}:{self._environ['PATH']}", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
        self._environ = {name: value for name, value in {**self._environ, **more}.items() if "PYTEST" not in name}

    def follow(self, blocks: list[Block]) -> None:
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if block.words[:1] == ("cd",):
                self.folder = self.folder / block.words[1]
            elif block.file_name is not None:
                # Not by `gateway check`: the plugin is not installed before the end.
                (self.folder / block.file_name).write_text(block.text)
            else:
                self.try_page([block] if after is None else [block, *([after] if after.language == "text" else [])])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tutorial_works(tmp_path: Path) -> None:
    session = Tutorial(tmp_path, FreshEnvironment(tmp_path / "environment"))

    with session:
        session.follow([block for block in blocks_of(TUTORIAL) if block.language != "text" or block.text])


def test_every_output_that_is_shown_follows_a_command() -> None:
    blocks = blocks_of(TUTORIAL)

    for block, before in zip(blocks[1:], blocks, strict=False):
        if block.language == "text":
            assert before.language == "sh", block.place
