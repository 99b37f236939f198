"""The policy between a score and an action: rules, expected cost, daily quotas, exploration, and its files.

Imports `fraudsim`, `model.artefact` and `stream_features`; Redis only in `quota`, no Kafka.
"""
