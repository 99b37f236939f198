"""Jars from Maven, pinned by SHA-256: Kafka's, with which the local broker runs, and Spark's connector.

Imports `fraudsim.process` and the errors and files of `fraudsim`.
"""
