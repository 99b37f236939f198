"""Random logs and what every feature engine must compute from them.

Imports `testing.samples`, `stream_features` and hypothesis; no Kafka, no Redis.
"""
