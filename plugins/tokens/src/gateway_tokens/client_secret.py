"""Configuration of the secret that a client has at an authorization server or a provider."""

from __future__ import annotations

from typing import Self

from gateway_plugin_sdk import ConfigFile, ConfigModel, Secret
from pydantic import model_validator


class ClientSecretOptions(ConfigModel):
    """The secret of a client, as a value or in a file."""

    client_secret: Secret | None = None
    """Our secret at the server."""

    client_secret_file: ConfigFile | None = None
    """File with the secret: when it is replaced, the new one is used without a restart."""

    @model_validator(mode="after")
    def _secret_is_one(self) -> Self:
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("client_secret beside client_secret_file: give one of them")
        return self

    @property
    def has_client_secret(self) -> bool:
        """Whether a secret or a file with it is configured."""
        return self.client_secret is not None or self.client_secret_file is not None

    def client_secret_text(self) -> str:
        """Return the secret, or nothing if none is configured. Blocks.

        :raises ValueError: the file has none; `OSError` if it cannot be read.
        """
        if self.client_secret_file is not None:
            text = self.client_secret_file.read_text().strip()
            if not text:
                raise ValueError(f"{self.client_secret_file} is empty: write the secret into it")
            return text
        return self.client_secret.reveal() if self.client_secret is not None else ""
