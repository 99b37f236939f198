"""Training: from a history on disk to a model artefact, with thresholds, calibration and test figures.

Imports `model.artefact`, `model.forest`, `producers` (histories) and `stream_features` (features in bulk).
"""
