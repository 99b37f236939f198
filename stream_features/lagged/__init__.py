"""Features as of a lag ago: what features computed in batches would tell. For experiments.

Imports `stream_features.kernels`, `online`, `offline` and `store.prime`; no Redis.
"""
