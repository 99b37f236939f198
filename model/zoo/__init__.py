"""A zoo of models with one interface: what is served today, and what else could rank fraud, at which price.

Imports `model.artefact`, `model.forest`, `model.training` and `stream_features`. Nothing here is served; the
entries of what is served use the same code as the artefact.
"""
