"""KrakenD's extra_config: `gateway_import.formats.krakend` is the way in."""
