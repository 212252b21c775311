"""Checks that look across models: names, references, order."""
