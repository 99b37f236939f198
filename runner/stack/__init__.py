"""A local Kafka and Redis without Docker: jars and binaries, configuration, ports, lock, start.

Imports `fraudsim` and `runner.supervise`.
"""
