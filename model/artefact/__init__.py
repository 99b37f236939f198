"""The model artefact: its files, its manifest, and the parts that serve: forest, cascade, thresholds, calibration.

Imports `model.forest`, `fraudsim` and the feature catalogue; no Kafka, no Redis.
"""
