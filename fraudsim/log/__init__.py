"""The log: events, topics, headers, the run's clock, and which records count.

Imports only `fraudsim`'s own modules; Kafka clients where a module reads or writes the log.
"""
