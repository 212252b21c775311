"""Whether a client has what its token is bound to: a key (DPoP, RFC 9449) or a TLS certificate (RFC 8705).

A proof is judged in two steps. Everything that needs no memory comes first and at once: its form, its key, its
signature, what it is for. What is left then is asked of the store that all workers, or all gateways, share: is the
nonce ours, and was this ``jti`` used before. The verdict on a proof stays with its request, which is judged again
after each wait, possibly by several providers and bindings. Each of them judges by its own options; only that a proof
was counted in a store is common to all that share the store, or the second of them would take it for a replay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import GatewayError, PluginContext, Request
from gateway_plugin_sdk.valkey import ValkeyValues, Values
from gateway_tokens.confirmation import Confirmation, base64url
from gateway_tokens.dpop import Expected, Proof, ProofError, ProofVerifier

from gateway_plugin_auth.client_certificates import presented_thumbprint
from gateway_plugin_auth.config.possession import DpopOptions, PossessionOptions
from gateway_plugin_auth.config.rules import AccessOptions
from gateway_plugin_auth.credentials import DPOP, Source
from gateway_plugin_auth.nonces import Nonces
from gateway_plugin_auth.outcomes import Needs
from gateway_plugin_auth.refusals import Refusal, quoted, unavailable

NONCE: Final = "auth.dpop-nonce"
"""Where a request's state has the nonce that its response gives out."""
_VERDICTS: Final = "auth.dpop-verdicts"
_COUNTED: Final = "auth.dpop-counted"
_STORE_AWAY: Final = "dpop-store"


def _bad_proof(reason: str, detail: str = "") -> Refusal:
    return Refusal(reason, "invalid_dpop_proof", detail=detail)


def challenges_of(config: PossessionOptions) -> tuple[str, ...]:
    """Return the schemes of a provider of tokens."""
    if config.dpop is None:
        return ("Bearer",)
    return ("DPoP",) if config.dpop.required else ("Bearer", "DPoP")


def challenge_parameters(configs: Iterable[PossessionOptions], metadata_url: str) -> Mapping[str, str]:
    """Return what every challenge for tokens has, by scheme (RFC 9449 section 7.1, RFC 9728 section 5.1)."""
    proofs = [each.dpop for each in configs if each.dpop is not None]
    algorithms = " ".join(dict.fromkeys(name for each in proofs for name in each.algorithms))
    metadata = f", resource_metadata={quoted(metadata_url)}" if metadata_url else ""
    return {"Bearer": metadata, DPOP: f', algs="{algorithms}"{metadata}'}


def hides(config: AccessOptions) -> bool:
    """Say whether a provider takes anything out of a request."""
    return config.hide_credentials or (
        isinstance(config, PossessionOptions) and config.dpop is not None and config.dpop.hide_proof
    )


def with_dpop(config: PossessionOptions, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the places where tokens are looked for: the scheme ``DPoP`` is beside ``Bearer``, else behind them all."""
    if config.dpop is None:
        return tuple(sources)
    place = next((index for index, each in enumerate(sources, 1) if each.is_authorization), len(sources))
    return (*sources[:place], Source("header", "Authorization", DPOP), *sources[place:])


class Possession:
    """Judges the requests of bound tokens, for one provider."""

    def __init__(self, config: PossessionOptions, context: PluginContext) -> None:
        self._mtls = config.mtls
        self._proofs = Proofs(config.dpop, context) if config.dpop is not None else None
        self._key_required = config.dpop is not None and config.dpop.required
        self.is_required = self._key_required or config.mtls.required
        """Whether a token that is bound to nothing is refused."""

    async def start(self) -> None:
        """Prepare the connection to the store; it may be away."""
        if self._proofs is not None:
            await self._proofs.start()

    async def stop(self) -> None:
        if self._proofs is not None:
            await self._proofs.stop()

    def check(
        self, request: Request, bound: Confirmation | None, token: str, *, is_dpop: bool
    ) -> Refusal | Needs | None:
        """Judge a request with a token that was verified.

        :param bound: what the token is bound to.
        :param is_dpop: whether the token came with the scheme ``DPoP``.
        :returns: None if the client has what the token is bound to, and all that is required.
        """
        key = bound.key if bound is not None else None
        certificate = bound.certificate if bound is not None else None
        if certificate is not None:
            presented = presented_thumbprint(request, self._mtls.certificate_header)
            if presented != certificate:
                return Refusal("certificate-missing" if presented is None else "certificate-mismatch")
        elif self._mtls.required:
            return Refusal("certificate-unbound")
        if key is None:
            # Each scheme is for its kind of token (RFC 9449 sections 7.1 and 7.2): else a client that checks nothing
            # would take a stolen bearer token for one that is bound.
            return Refusal("dpop-unbound") if is_dpop or self._key_required else None
        if self._proofs is None:
            return Refusal("dpop-off")
        if not is_dpop:
            return Refusal("dpop-scheme")
        return self._proofs.check(request, key, token)


class Proofs:
    """Judges proofs."""

    def __init__(self, options: DpopOptions, context: PluginContext) -> None:
        self._options = options
        self._clock = context.clock
        self._log = context.log
        self._verifier = ProofVerifier(options.algorithms, options.max_age, options.leeway)
        self._valkey = ValkeyValues(options.valkey) if options.valkey is not None else None
        self._store: Values = self._valkey if self._valkey is not None else context.runtime.shared
        # What has one name is one store, to which a request's proof is new once.
        shared_by = options.valkey.prefix if options.valkey is not None else f"{context.route}/{context.binding}"
        self._store_name = f"{'valkey' if options.valkey is not None else 'shared'} {shared_by} "
        self._nonces = Nonces(options.nonce_lifetime, context.clock) if options.nonce else None

    async def start(self) -> None:
        """Import what the server needs.

        :raises GatewayError: the library is not installed.
        """
        if self._valkey is not None:
            await self._valkey.start()

    async def stop(self) -> None:
        if self._valkey is not None:
            await self._valkey.stop()

    def check(self, request: Request, thumbprint: str, token: str) -> Refusal | Needs | None:
        """Judge a request's proof of the key with a thumbprint, for a token."""
        fields = request.headers.get_all("dpop")
        if len(fields) != 1:
            return _bad_proof("dpop-ambiguous" if fields else "dpop-missing")
        text = fields[0]
        name = f"{id(self)} " + hashlib.sha256(f"{thumbprint} {token} {text}".encode("utf-8", "replace")).hexdigest()
        verdicts: dict[str, Refusal | None] = request.state.get(_VERDICTS, {})
        if name in verdicts:
            return verdicts[name]
        try:
            method, uri = request.received.method, request_uri(request, self._options.origin)
            proof = self._verifier.verify(text, Expected(method, uri, token, thumbprint), self._clock.wall())
        except ProofError as error:
            return _bad_proof(error.code, str(error))
        return Needs(partial(self._settle, request, name, thumbprint, proof), unavailable(_STORE_AWAY, 1.0))

    async def _settle(self, request: Request, name: str, thumbprint: str, proof: Proof) -> None:
        try:
            verdict = await self._verdict(request, thumbprint, proof)
        except GatewayError as error:
            # Not let through: a proof that is remembered nowhere could be used again at once.
            self._log.warning("a DPoP proof cannot be compared with earlier ones: %s", error)
            verdict = unavailable(_STORE_AWAY, 1.0)
        request.state.setdefault(_VERDICTS, {})[name] = verdict

    async def _verdict(self, request: Request, thumbprint: str, proof: Proof) -> Refusal | None:
        nonces = self._nonces
        if nonces is not None:
            await nonces.prepare(self._store)
            if proof.nonce != nonces.current():
                request.state[NONCE] = nonces.current()
                if not nonces.is_accepted(proof.nonce):
                    return Refusal("dpop-nonce", "use_dpop_nonce")
        key = base64url(hashlib.sha256(f"{thumbprint} {proof.id}".encode()).digest())
        options = self._options
        # Until no gateway accepts the proof any more, also one whose clock is behind.
        left = proof.issued + options.max_age + 2 * options.leeway - self._clock.wall() + 1.0
        counted: set[str] = request.state.setdefault(_COUNTED, set())
        name = self._store_name + key
        if name not in counted:
            if not await self._store.add(f"jti:{key}", b"", max(left, 1.0)):
                return _bad_proof("dpop-replayed")
            counted.add(name)
        return None


def request_uri(request: Request, origin: str | None) -> str:
    """Return a request's URI without its query, as the client sent it.

    Scheme and host are what a trusted proxy says that the client used; of other peers the gateway removed those fields.
    """
    target = request.received.target
    path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path or "/"
    if origin is not None:
        return origin + path
    forwarded = request.headers.get_all("x-forwarded-host")
    # Several hosts are those of several hops: which one the client used is not known.
    host = forwarded[0] if len(forwarded) == 1 and forwarded[0] and "," not in forwarded[0] else request.host
    return f"{request.scheme}://{host}{path}"
