"""Tests of the package `lifecycle.backtest`."""
