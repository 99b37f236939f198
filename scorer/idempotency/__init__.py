"""One decision per tx_id over HTTP: claims and stored replies, in Redis and in this process's memory.

Imports `fraudsim`, `stream_features.store` and `scorer.resilience`; no Kafka, no HTTP.
"""
