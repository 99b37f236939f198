"""Treatments of class imbalance, and how well the scores that come of them are probabilities.

Imports `model.artefact`, `model.forest` and `model.training`.
"""
