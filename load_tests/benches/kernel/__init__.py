"""`fraudsim bench kernel` and `bench growth`: the cost of folding and reading one key, without I/O.

Imports `stream_features.kernels` and `load_tests.rig`; no Kafka, no Redis.
"""
