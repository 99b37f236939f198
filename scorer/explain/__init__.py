"""Decisions of an archived run: explained one by one, or decided again under another policy.

Imports `fraudsim`, `model`, `stream_features` and `scorer.policy`; no Kafka, no Redis.
"""
