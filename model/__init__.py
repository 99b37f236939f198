"""Models: training, the artefact that a scorer serves, and the registry.

Imports `fraudsim`, `producers` and `stream_features`.
"""
