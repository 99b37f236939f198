"""The study of cadence: when to retrain, in money.

Imports `lifecycle.retraining`, `dashboards.drift`, `simulator` and the frame.
"""
