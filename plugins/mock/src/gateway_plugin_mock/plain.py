"""Responses that the configuration itself has, by method and path."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from gateway_plugin_sdk import Response

from gateway_plugin_mock.config import DelayConfig, ResponseConfig


class PlainResponse:
    """One response, and which requests it takes."""

    def __init__(self, config: ResponseConfig) -> None:
        self.delay = config.delay
        self._methods = None if config.methods is None else frozenset(config.methods)
        self._segments = None if config.path is None else config.path.split("/")[1:]
        self._response = Response(config.status, _body(config), config.headers)
        if config.body is not None:
            self._response.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        elif "json_body" in config.model_fields_set:
            self._response.headers.setdefault("Content-Type", "application/json")

    def takes(self, method: str, segments: Sequence[str]) -> bool:
        """Return whether this is the response to a request."""
        if (
            self._methods is not None
            and method not in self._methods
            and not (method == "HEAD" and "GET" in self._methods)
        ):
            return False
        if self._segments is None:
            return True
        for index, segment in enumerate(self._segments):
            if segment.startswith("*"):
                return len(segments) > index
            if index >= len(segments) or (
                not segments[index] if segment.startswith(":") else segments[index] != segment
            ):
                return False
        return len(segments) == len(self._segments)

    @property
    def response(self) -> Response:
        """The response; the gateway copies it."""
        return self._response


def _body(config: ResponseConfig) -> bytes:
    if config.file is not None:
        return config.file.read_bytes()
    if "json_body" in config.model_fields_set:
        return json.dumps(config.json_body, ensure_ascii=False).encode()
    return (config.body or "").encode()


def seconds_of(delay: DelayConfig | None) -> float:
    """Return how long a response takes."""
    if delay is None:
        return 0.0
    longest = delay.duration if delay.to is None else delay.to
    return delay.duration + (longest - delay.duration) * random.random()  # noqa: S311 - guards nothing
