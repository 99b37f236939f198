"""Dashboards and alerts, and the `watch` process that turns decisions, truth and labels into their metrics.

Imports `fraudsim`, `producers` and `stream_features`; may read truth.
"""
