"""Histories on disk: a world or a public file as Parquet tables with a manifest.

Imports `fraudsim` and `producers.world`; no Kafka, no Redis.
"""
