"""Study: the ways of models that must not serve: check, backtest, shadow, stages.

Imports `lifecycle` and the rooms below.
"""
