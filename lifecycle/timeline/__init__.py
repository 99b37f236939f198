"""One live line from a scripted change to its recovery: alarm, retraining, shadow, promotion, net loss.

Imports `lifecycle.retraining`, `dashboards.drift` and the runner's line.
"""
