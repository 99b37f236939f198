"""Tests of DAGs."""
