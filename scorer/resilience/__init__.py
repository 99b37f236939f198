"""Limits on waiting: time budgets, admission, circuit breakers around Redis, micro-batches.

Imports `fraudsim` and, for one error, `stream_features.online`; no other package of `scorer`.
"""
