"""Experiments on the line: stages, guards, anytime-valid intervals, assignment by card, automatic rollback.

Statistics and the controller are pure; `fast_forward` and `live` feed them. Imports `model`, `scorer`,
`simulator` and the rooms below them.
"""
