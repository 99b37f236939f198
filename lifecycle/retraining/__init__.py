"""Retraining: when it is due, and a run of it in steps that are kept on disk.

Imports `model`, `dashboards.drift` and the archive's readers.
"""
