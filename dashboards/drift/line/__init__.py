"""Drift of a running line: its archive as weeks, what is said of each, and the part that says it.

Imports `dashboards.drift` and the archive's readers.
"""
