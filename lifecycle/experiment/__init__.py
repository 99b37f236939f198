"""Experiments on the line: stages, assignment, where the arms part, rollback, the table of lifts.

The controller is pure; `fast_forward` and `lifecycle.live_experiment` feed it. Imports `lifecycle.evidence`,
`lifecycle.backtest`, `model`, `scorer`, `simulator` and the rooms below them.
"""
