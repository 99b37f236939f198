"""The feature worker: reads the whole log and folds it into the state of the slots that it owns.

Imports `fraudsim`, `stream_features.store` and `stream_features.kernels`; the only package that uses Faust.
"""
