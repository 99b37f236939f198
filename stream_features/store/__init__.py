"""The feature state in Redis: keys, watermarks and the fence; priming, rebuild and inspection.

Imports `fraudsim`, `stream_features.kernels`, `stream_features.catalogue` and `stream_features.offline`; no
worker, no reader.
"""
