"""The leakage audit of a history: does any column separate fraud better than a real feed would allow?

Imports `producers.history`; no Kafka, no Redis.
"""
