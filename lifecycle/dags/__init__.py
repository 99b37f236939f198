"""Airflow DAGs, one file each: thin, every task a command. They import Airflow and nothing of ours."""
