"""The life of a model beyond one training: retraining, backtests and experiments before and after promotion.

Imports `model`, `scorer`, `simulator` and the rooms below them.
"""
