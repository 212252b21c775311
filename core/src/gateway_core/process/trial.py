"""Plugins that no serving process has run yet, tried in one of their own, where a hang or an end does no harm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from gateway_core.clock import Clock
from gateway_core.config import ConfigError
from gateway_core.errors import GatewayError
from gateway_core.process.channel import ChannelClosedError
from gateway_core.process.worker_handle import WorkerHandle, WorkerRefusedError, WorkerServices
from gateway_core.reload.bundle import ConfigBundle

TRIAL_TIMEOUT: Final = 45.0
"""Seconds; a plugin that awaits has thirty of them to start."""


async def start_in_sandbox(
    bundle: ConfigBundle, names: Collection[str], listeners: Mapping[str, int], clock: Clock, *, seconds: float
) -> None:
    """Have a worker that never serves load these plugins and start their bindings.

    :raises ConfigError: a binding cannot be made or started.
    :raises GatewayError: the process ended, or did not come to an end.
    """
    worker = await WorkerHandle.start(0, listeners, WorkerServices(clock))
    try:
        await worker.prepare(bundle, timeout=seconds)
    except (WorkerRefusedError, ChannelClosedError) as error:
        if isinstance(error, WorkerRefusedError) and error.problems:
            raise ConfigError(error.problems) from error
        raise GatewayError(
            f"{', '.join(sorted(names))} was tried in a process of its own, which failed: {error}"
        ) from error
    finally:
        worker.is_leaving = True
        worker.kill()
        await worker.gone.wait()
