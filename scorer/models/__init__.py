"""The models that serve, their roles, and the comparison of shadow models with the champion.

Imports `fraudsim`, `model` and `scorer.policy`; no Kafka, no Redis.
"""
