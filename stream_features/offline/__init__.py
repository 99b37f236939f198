"""Features of whole tables: kernels in bulk, DuckDB, Spark and brute force, over histories and archived logs.

Imports `fraudsim`, the catalogue and the kernels; no Kafka, no Redis. The SQL engines share no kernel code.
"""
