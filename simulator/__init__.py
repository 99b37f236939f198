"""The fast-forward: the line in event time, in one process, without Kafka and Redis.

Imports `producers`, `stream_features`, `model` and `scorer`; may read truth, for evaluation only.
"""
