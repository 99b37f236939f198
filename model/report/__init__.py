"""Tables of a model's figures, as the commands show them.

Imports `model.artefact` and `model.training`; no Kafka, no Redis.
"""
