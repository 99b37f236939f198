"""Scenario files: their schema, and a source that plays one on a live stream.

Imports `fraudsim`, `producers.sources` and the packages of the world; no Kafka, no Redis.
"""
