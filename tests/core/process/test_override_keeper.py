from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from gateway_core.errors import RefusedError
from gateway_core.process.model import ProcessModel
from gateway_core.process.override_keeper import OverrideKeeper
from gateway_core.reload.overrides import Overrides


class Serving:
    """What serves two endpoints, of which it has not heard that another gateway has drained one."""

    async def status(self, _timeout: float) -> dict[str, Any]:
        endpoints = [{"id": each, "state": "up", "status": "up", "weight": 1} for each in ("a", "b")]
        return {"upstreams": [{"name": "u", "endpoints": endpoints}]}

    async def override(self, _overrides: Overrides) -> Sequence[int]:
        return ()


def keeper(folder: Path) -> OverrideKeeper:
    return OverrideKeeper(folder, ["gateway.yaml"], lambda: cast("ProcessModel", Serving()))


async def drain(keeper: OverrideKeeper, endpoint: str, *, force: bool = False) -> None:
    await keeper.drain(endpoint, None, force=force, by="ops", reason="", seconds=60)


async def test_two_gateways_of_one_state_directory_do_not_drain_the_last_endpoints_together(tmp_path: Path) -> None:
    one, other = keeper(tmp_path), keeper(tmp_path)
    await drain(one, "a")

    with pytest.raises(RefusedError, match="b is the last endpoint of u") as error:
        await drain(other, "b")
    assert error.value.code == "last-endpoint"
    assert [each.name for each in one.current] == ["a"]

    await drain(other, "b", force=True)
    assert [each.name for each in other.current] == ["a", "b"]


async def test_overrides_that_could_not_be_written_stay_in_force_in_the_next_program(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    before, after = keeper(tmp_path / "file" / "state"), keeper(tmp_path / "file" / "state")
    await drain(before, "a")

    await after.load(before.left())
    await after._follow()

    assert [each.name for each in after.current] == ["a"]


async def test_overrides_of_the_program_before_that_are_on_disk_end_there(tmp_path: Path) -> None:
    before, after = keeper(tmp_path), keeper(tmp_path)
    await drain(before, "a")
    await after.load(before.left())

    await before.up("a", None, by="ops", reason="", seconds=60)
    await after._follow()

    assert after.current == before.current
