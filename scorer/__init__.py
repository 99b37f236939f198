"""The online decision: one code path for the stream and for HTTP.

Imports `fraudsim`, `stream_features` and `model`.
"""
