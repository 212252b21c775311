"""Kong's declarative configuration, and decK's: `gateway_import.formats.kong` is the way in."""
