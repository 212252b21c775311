"""The calls of one request: each begins when what it waits for is there, and ends when the response is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from gateway_plugin_sdk import Clock, Request, Upstreams, spawn

from gateway_plugin_aggregate.calls import Allowance, Call, CallFailedError, Part
from gateway_plugin_aggregate.config import AggregateConfig
from gateway_plugin_aggregate.plan import Waits
from gateway_plugin_aggregate.templates import Placeholder, read_call_value

Outcome: TypeAlias = Part | CallFailedError


class Run:
    """Makes the calls of one request, and keeps their outcomes."""

    def __init__(
        self,
        config: AggregateConfig,
        calls: Mapping[str, Call],
        plan: Mapping[str, Waits],
        request: Request,
        values: Mapping[Placeholder, Any],
        query: Sequence[tuple[str, str]],
        client_body: bytes,
    ) -> None:
        """Take what the calls need.

        :param values: the client's values.
        :param query: the client's parameters that calls pass on.
        """
        self._config = config
        self._calls = calls
        self._plan = plan
        self._request = request
        self._values = values
        self._query = query
        self._client_body = client_body
        self._allowance = Allowance(config.max_total_bytes)
        self._turns = asyncio.Semaphore(config.max_parallel)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.outcomes: dict[str, Outcome] = {}
        """Of the calls that came to an end, by name."""
        self.lost: CallFailedError | None = None
        """Why there is no response: the first required call that failed."""

    async def finish(self, upstreams: Upstreams, clock: Clock) -> None:
        """Make the calls; return when all came to an end, or the response is lost.

        No call is under way any more when this returns or raises, cancellation included.
        """
        for name, call in self._calls.items():
            self._tasks[name] = spawn(self._run(call, upstreams, clock), name=f"aggregate call {name}")
        pending = set(self._tasks.values())
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._config.timeout
        try:
            while pending and self.lost is None:
                done, pending = await asyncio.wait(
                    pending, timeout=max(0.0, deadline - loop.time()), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()  # a failure of this code is the hook's
                if not done:
                    break
        finally:
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)
        if self.lost is None:
            for name, call in self._calls.items():
                if name not in self.outcomes:
                    self._fail(call, CallFailedError("timeout", 504))

    async def _run(self, call: Call, upstreams: Upstreams, clock: Clock) -> None:
        waits = self._plan[call.config.name]
        before = waits.needs | waits.others
        if before:
            await asyncio.wait([self._tasks[name] for name in before])
        if self.lost is not None:
            return
        try:
            self._check_needs(call, waits)
            async with self._turns:
                part = await call.send(
                    upstreams, self._request, self._lookup, self._query, self._client_body, self._allowance, clock
                )
        except CallFailedError as error:
            self._fail(call, error)
        else:
            self.outcomes[call.config.name] = part

    def _fail(self, call: Call, error: CallFailedError) -> None:
        self.outcomes[call.config.name] = error
        if call.config.required and self.lost is None:
            self.lost = error

    def _check_needs(self, call: Call, waits: Waits) -> None:
        """Check that what a call needs is there.

        A default will do, but not for a call that changes something.
        """
        for name in waits.needs:
            has_default = self._calls[name].config.has_default and not call.config.is_unsafe
            if not isinstance(self.outcomes.get(name), Part) and not has_default:
                raise CallFailedError("dependency")

    def _lookup(self, placeholder: Placeholder) -> Any:
        name = placeholder.call
        if name is None:
            return self._values[placeholder]
        outcome = self.outcomes[name]
        value = outcome.value if isinstance(outcome, Part) else self._calls[name].config.default
        return read_call_value(value, placeholder.steps)
