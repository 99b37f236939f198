"""Features for one decision: Redis state, unfolded log and in-flight transactions, each counted once.

Imports `fraudsim`, the encoding, the kernels and `stream_features.store`. Only `log_reader` talks to Kafka.
"""
