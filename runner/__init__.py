"""Runs the system on one machine: local Kafka and Redis, supervised processes, the record of a run.

Imports every room but `dashboards`, `load_tests`, `studies` and `testing`.
"""
