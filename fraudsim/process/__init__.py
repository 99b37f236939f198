"""What a long-lived process sets up at its start: logs, garbage collection, signals.

Imports `fraudsim.settings` only.
"""
