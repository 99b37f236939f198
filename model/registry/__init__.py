"""The registry of models: their versions on disk, and which of them are champion, challenger and shadow.

Imports `model.artefact`, and `model.report` for its commands; no Kafka, no Redis.
"""
