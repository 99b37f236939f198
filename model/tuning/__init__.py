"""The choice of training parameters: validation in time, worlds to validate on, search, comparison.

Imports `model.training`, `model.forest`, `producers` (worlds and datasets) and `stream_features`.
"""
