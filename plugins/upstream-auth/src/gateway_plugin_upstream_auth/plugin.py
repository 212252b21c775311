"""The plugin: gives each attempt credentials of the gateway's own, in place of the client's."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from gateway_plugin_sdk import (
    BadBodyError,
    ConfigFinding,
    FieldNames,
    Plugin,
    PluginContext,
    Request,
    UpstreamAttempt,
    command,
    hookimpl,
)

from gateway_plugin_upstream_auth import sigv4
from gateway_plugin_upstream_auth.config import ApiKeyConfig, AwsConfig, BasicConfig, OAuth2Config, UpstreamAuthConfig
from gateway_plugin_upstream_auth.tokens import Token, TokenSource

Apply = Callable[[Request, UpstreamAttempt], Awaitable[None] | None]
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class UpstreamAuth(Plugin[UpstreamAuthConfig]):
    """Has the gateway log in to upstreams: basic, bearer, API key, OAuth 2 client credentials or AWS Signature 4."""

    name = "upstream-auth"
    config_model = UpstreamAuthConfig

    def __init__(self, config: UpstreamAuthConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._tokens: TokenSource | None = None
        names = [*config.remove, "authorization"]
        if config.basic is not None:
            self._apply = _sets("Authorization", _basic_value(config.basic))
        elif config.bearer is not None:
            self._apply = _sets("Authorization", f"Bearer {config.bearer.token.reveal()}")
        elif config.api_key is not None:
            self._apply = _key_setter(config.api_key)
            names = [*config.remove, *([config.api_key.header] if config.api_key.header else [])]
        elif config.oauth2 is not None:
            self._apply = self._oauth2(config.oauth2)
        else:
            assert config.aws is not None, "the model has one of five"
            self._apply = self._aws(config.aws)
            names += ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"]
        self._removed = FieldNames(names) if names else None

    @classmethod
    def check_config(cls, config: UpstreamAuthConfig) -> Iterable[ConfigFinding]:
        """Warn of secrets that are sent in the clear, and of what AWS refuses."""
        if config.oauth2 is not None:
            url = urlsplit(config.oauth2.token_url.reveal())
            if url.scheme == "http" and url.hostname not in _LOOPBACK and config.oauth2.upstream is None:
                message = "the client's secret and the token are sent in the clear: write https://"
                yield ConfigFinding(("oauth2", "token_url"), message, code="plain-token-url", severity="warning")
        if config.aws is not None and config.aws.payload == "unsigned" and not sigv4.is_like_s3(config.aws.service):
            message = f"{config.aws.service} does not take requests whose body is not signed: only S3 does"
            yield ConfigFinding(("aws", "payload"), message, code="unsigned-payload", severity="warning")

    @hookimpl
    def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> Awaitable[None] | None:
        """Remove the client's credentials and add the gateway's."""
        # First, so that they are gone also where the rest fails and `on_error` is `continue`.
        if self._removed is not None:
            attempt.headers.remove_any(self._removed)
        return self._apply(request, attempt)

    @command(role="operator")
    async def refresh(self) -> dict[str, Any]:
        """Forget the token, so that the next request gets a new one."""
        if self._tokens is None:
            return {"token": False}
        self._tokens.drop()
        return {"token": True, "requests": self._tokens.requests}

    # -- OAuth 2

    def _oauth2(self, config: OAuth2Config) -> Apply:
        tokens = self._tokens = TokenSource(config, self.upstreams, self.clock, self.log, self.spawn)
        counter = self.metrics.counter(
            "gateway_upstream_auth_tokens", "Requests for tokens.", ("route", "binding", "result")
        )
        route, binding = self.context.route or "", self.context.binding
        for result in ("obtained", "failed"):  # from 0 on, so that the first failure is an increase
            counter.labels(route, binding, result)
        tokens.count = lambda result: counter.labels(route, binding, result).inc()

        def give(attempt: UpstreamAttempt, token: Token) -> None:
            attempt.headers["Authorization"] = token.field
            if config.retry_unauthorized:
                attempt.on_status(lambda status: status == 401 and tokens.refused(token))

        async def wait(attempt: UpstreamAttempt) -> None:
            give(attempt, await tokens.wait())

        def apply(_request: Request, attempt: UpstreamAttempt) -> Awaitable[None] | None:
            token = tokens.current()
            if token is None:
                return wait(attempt)
            give(attempt, token)
            return None

        return apply

    # -- AWS

    def _aws(self, config: AwsConfig) -> Apply:
        secret, keys = config.secret_access_key.reveal(), dict[str, sigv4.SigningKey]()
        session = None if config.session_token is None else config.session_token.reveal()
        names_hash = sigv4.is_like_s3(config.service) or config.payload == "unsigned"

        def sign(request: Request, attempt: UpstreamAttempt, payload_hash: str) -> None:
            when = sigv4.timestamp(self.clock.wall())
            day, headers = when[:8], attempt.headers
            key = keys.get(day)
            if key is None:
                keys.clear()
                key = keys[day] = sigv4.signing_key(secret, day, config.region, config.service)
            headers["X-Amz-Date"] = when
            if names_hash:
                headers["X-Amz-Content-Sha256"] = payload_hash
            if session:
                headers["X-Amz-Security-Token"] = session
            text, names = sigv4.canonical_request(
                request.method,
                sigv4.canonical_path(attempt.raw_path, config.service),
                sigv4.canonical_query(attempt.query_string),
                sigv4.fields_to_sign(attempt.host, headers.items()),
                payload_hash,
            )
            headers["Authorization"] = sigv4.authorization(key, config.access_key_id, when, text, names)

        async def read_and_sign(request: Request, attempt: UpstreamAttempt) -> None:
            if (chunked := sigv4.chunked_payload(request.headers)) is not None:
                raise BadBodyError(f"a body in pieces that the client signed ({chunked}) cannot be signed again", 415)
            body = await request.read(config.max_body)
            sign(request, attempt, hashlib.sha256(body).hexdigest())

        def sign_without_body(request: Request, attempt: UpstreamAttempt) -> None:
            chunked = sigv4.chunked_payload(request.headers)
            if chunked not in {None, sigv4.UNSIGNED_TRAILER}:
                raise BadBodyError(f"pieces of the body are signed by the client ({chunked})", 415)
            sign(request, attempt, chunked or sigv4.UNSIGNED)

        return read_and_sign if config.payload == "signed" else sign_without_body


def _basic_value(config: BasicConfig) -> str:
    pair = f"{config.username}:{config.password.reveal()}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _sets(name: str, value: str) -> Apply:
    def apply(_request: Request, attempt: UpstreamAttempt) -> None:
        attempt.headers.add(name, value)

    return apply


def _key_setter(config: ApiKeyConfig) -> Apply:
    value = config.value.reveal()
    if config.header is not None:
        return _sets(config.header, f"{config.prefix} {value}" if config.prefix else value)
    name = config.query
    assert name is not None, "the model has one of both"

    def apply(_request: Request, attempt: UpstreamAttempt) -> None:
        attempt.set_query_parameter(name, value)

    return apply
