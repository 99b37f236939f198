"""The ledger of archived runs by their truth: sums, tables, and what other alert budgets would have cost.

Imports the rooms below `runner`.
"""
