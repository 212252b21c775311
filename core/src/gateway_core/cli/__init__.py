"""The ``gateway`` command."""

import os

# Where pydantic looks for plugins of its own it reads the entry points of everything that is installed, and one
# distribution with an unreadable file would end every command with a traceback. Set it to nothing to have them.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from gateway_core.cli.root import main  # which imports pydantic

__all__ = ["main"]
