"""Handing records to Kafka: one interface, two clients. Imports `fraudsim` only."""
