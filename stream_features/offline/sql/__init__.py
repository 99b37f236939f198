"""The catalogue as SQL, for DuckDB and for Spark. Imports only the catalogue and the encoding."""
