"""Reloading: what changed is validated elsewhere, prepared beside what is in force, and committed."""
