"""The attempt hooks of a request: they run once its head for an endpoint is made, and may change its fields.

`AttemptPhase.start` takes the finished bytes of a head, so it does not matter who made them: it parts them into what
hooks may change and what they may not (request line, Host, the fields that frame the message), and puts them together
again. Hooks that must be awaited are why `AttemptOwner.prepare` may return None and `Attempt.connect` exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway_core.hooks import Hook, Stop, start_attempt_phase
from gateway_core.messages import Headers, Request, UpstreamAttempt
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.proxy.attempt_owner import PreparedRequest
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.wire.fields import split_block
from gateway_core.upstreams.endpoint import Endpoint

_FRAMING: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Fields of the gateway's own connection to the upstream: hooks neither see nor change them."""


class AttemptPhase:
    """The hooks that run before each attempt of one request."""

    __slots__ = ("_hooks", "_request", "_runner")

    def __init__(self, hooks: tuple[Hook, ...], request: Request, runner: HookRunner) -> None:
        """Run nothing yet.

        :param request: what the hooks see: what is being sent.
        """
        self._hooks = hooks
        self._request = request
        self._runner = runner

    def start(
        self,
        endpoint: Endpoint,
        prepared: PreparedRequest,
        then: Callable[[PreparedRequest], None],
        failed: Callable[[Stop], None],
    ) -> None:
        """Run the hooks over a head, and call ``then`` with what they leave of it, at once or later.

        :param failed: called instead if a hook failed and its binding denies: the request is over.
        """
        head, flags = prepared
        end = head.index(b"\r\n\r\n")
        line, _, block = head[:end].partition(b"\r\n")
        host, fields, framing = _parted(b"\r\n" + block)
        target = line.split(b" ")[1].decode("latin-1")
        path, _, query = target.partition("?")
        attempt = UpstreamAttempt(endpoint.id, path, query, host.decode("latin-1"), headers_of_block(fields))

        def decided(stop: Stop | None) -> None:
            if stop is not None:
                failed(stop)
                return
            own = _without_framing(attempt.headers)
            data = b"".join((line, b"\r\nHost: ", host, own, framing, head[end:]))
            then((data, flags))

        self._runner.run(decided, start_attempt_phase, self._hooks, self._request, attempt)


def _parted(block: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the value of Host, the block that hooks may change, and the block that they may not."""
    host, fields, framing = b"", [], []
    for line in block.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"host":
            host = value.strip(b" \t")
        elif name in _FRAMING:
            framing.append(line)
        else:
            fields.append(line)
    return host, _joined(fields), _joined(framing)


def _joined(lines: list[bytes]) -> bytes:
    return b"".join([b"\r\n" + line for line in lines])


def _without_framing(headers: Headers) -> bytes:
    """Return the block of the fields that hooks left, without those that are not theirs."""
    kept = [line for name, line in split_block(block_of(headers)) or () if name != b"host" and name not in _FRAMING]
    return _joined(kept)
