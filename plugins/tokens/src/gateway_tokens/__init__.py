"""Verification of tokens, key sets and metadata of issuers: what the plugins auth and oidc share."""

__version__ = "0.1.0"
