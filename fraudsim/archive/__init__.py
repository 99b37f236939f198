"""The archived log of a run: Parquet files per topic, and id columns held as numbers.

Imports `fraudsim.log`; no Kafka, no Redis.
"""
