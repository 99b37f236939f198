"""The HTTP API: protocol, gate, routes, schemas, problems, and scoring of requests.

Imports the rest of `scorer` except `scorer.stream`, and of Kafka only the producer it is given.
"""
