"""Tests of the package `lifecycle.live_experiment`."""
