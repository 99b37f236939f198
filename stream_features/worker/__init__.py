"""The feature worker: reads the whole log and folds it into the state of the slots that it owns.

Imports `fraudsim`, the catalogue, the encoding, the kernels and `stream_features.store`; the only package
that uses Faust.
"""
