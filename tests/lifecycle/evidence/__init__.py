"""Tests of the package `lifecycle.evidence`."""
