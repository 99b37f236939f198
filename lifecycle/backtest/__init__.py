"""Backtests: two models through the decision path over past weeks, by twin runs or from a run's log.

Imports `model`, `scorer`, `simulator` and the rooms below them.
"""
