"""Gradient-boosted trees: fitted by XGBoost, scored and explained by compiled code.

Imports `stream_features` (names and shape of the feature vector); no Kafka, no Redis.
"""
