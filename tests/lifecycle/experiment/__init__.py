"""Tests of the package `lifecycle.experiment`."""
