"""An API gateway on aiohttp whose plugins are ordinary Python packages."""

__version__ = "0.1.0"
