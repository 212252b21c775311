"""What the SDK's README shows works."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from gateway_plugin_sdk import testing

README = Path(__file__).parents[2] / "plugin-sdk" / "README.md"


def test_its_blocks_run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sdk_readme")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    for block in re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(README), "exec"), module.__dict__)
    tests = [each for name, each in vars(module).items() if name.startswith("test_") and isinstance(each, FunctionType)]

    assert len(tests) == 4
    for test in tests:
        test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (testing.RunningGateway, "get post request raw reload calls logs metrics settle"),
        (testing.ScriptedUpstream, "answer_with answer_next answer_by requests last wait_for"),
        (testing.PluginHarness, "request calls start stop"),
    ],
)
def test_what_it_names_exists(owner: type, names: str) -> None:
    for name in names.split():
        assert name in README.read_text()
        assert hasattr(owner, name)
