"""The compiled window arithmetic: the state of one key, and its features at any time.

Imports `fraudsim.arrays`, `fraudsim.errors` and `stream_features.catalogue`; pure, no Kafka, no Redis.
"""
