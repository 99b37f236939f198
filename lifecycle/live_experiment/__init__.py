"""Experiments on a live line: its archive is looked at, the registry's roles follow.

Imports `lifecycle.experiment`, and what that imports.
"""
