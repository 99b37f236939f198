"""The feature state in Redis: keys, watermarks and the fence; priming, rebuild and inspection.

Imports `fraudsim`, the catalogue, the encoding, the kernels and `stream_features.offline`; no worker, no
reader.
"""
