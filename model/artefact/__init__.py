"""The model artefact: files, manifest, and what serves: forest, cascade, thresholds, calibration.

Imports `model.forest`, `fraudsim` and the feature catalogue; no Kafka, no Redis.
"""
