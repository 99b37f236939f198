"""The open-loop sender: every record of a source at its intended time, by one process or by shards.

Imports `fraudsim`, `producers.outbox` and `producers.sources`.
"""
