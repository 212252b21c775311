"""Traefik: rules, services and middlewares of its dynamic configuration."""
