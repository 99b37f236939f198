"""The catalogue as SQL for DuckDB and Spark. Imports the catalogue and the encoding; no kernel, no engine."""
