"""The record of a run: archived log, observed decisions, live figures, manifest and summary.

Imports the rooms below `runner`, and no other package of `runner`.
"""
