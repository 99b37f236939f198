"""Parity: served feature vectors against recomputations from history and archived log.

Imports `stream_features.offline`, `kernels` and `store.prime`; reads Parquet only, no Kafka, no Redis.
"""
