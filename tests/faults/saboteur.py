"""Makes endless tasks of a running gateway fail while a file says so.

An environment with a ``.pth`` file runs this before anything else: every supervised work is run beside a look at the
file ``fail`` of that environment, and fails with what stands there as soon as its name does, as often as it begins.
"""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.environment import Environment

CODE = """
import asyncio, functools, os, pathlib, sys

WANTED = pathlib.Path(%r)

def failure_of(name):
    try:
        wanted, _, kind = WANTED.read_text().partition(": ")
    except OSError:
        return None
    if not wanted or not name.startswith(wanted):
        return None
    if kind == "cancel":
        return asyncio.CancelledError()
    if kind == "exit":
        return SystemExit(0)
    return OSError(28, "No space left on device") if kind == "disk" else RuntimeError(f"{name} was sabotaged")

def spoil(module):
    original = module.supervise

    async def supervise(work, *, name, **options):
        async def spoilt():
            async def look():
                while failure_of(name) is None:
                    await asyncio.sleep(0.05)
            running, looking = asyncio.ensure_future(work()), asyncio.ensure_future(look())
            try:
                await asyncio.wait({running, looking}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    return running.result()
                raise failure_of(name) or RuntimeError(f"{name} was sabotaged")
            finally:
                for each in (running, looking):
                    each.cancel()
                await asyncio.gather(running, looking, return_exceptions=True)
        await original(spoilt, name=name, **options)

    module.supervise = supervise

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "gateway_core.tasks":
            return None
        sys.meta_path.remove(self)
        import importlib.util
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            spoil(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


class Saboteur:
    """Says which tasks of the gateways of one environment fail."""

    def __init__(self, environment: Environment) -> None:
        self._wanted = environment.folder / "fail"
        (environment.site / "a_saboteur.py").write_text(CODE % str(self._wanted))
        (environment.site / "a_saboteur.pth").write_text("import a_saboteur\n")

    def fail(self, task: str, kind: str = "defect") -> None:
        """Have every task whose name begins like this fail, now and whenever it begins again."""
        partial = Path(f"{self._wanted}.new")
        partial.write_text(f"{task}: {kind}")
        partial.replace(self._wanted)

    def mend(self) -> None:
        """Have none fail."""
        self._wanted.unlink(missing_ok=True)
