"""Features of a regime: rows of the last month, windows as far as they have been seen, known frauds.

Imports `simulator.regimes` and `stream_features`; pure.
"""
