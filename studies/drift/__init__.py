"""The study of drift's alarms: how often without cause, and how soon with one.

Imports `dashboards.drift`, `simulator` and the frame.
"""
