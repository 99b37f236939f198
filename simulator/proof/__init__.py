"""Proof that the fast-forward is the line: a live run decided again, and generated again.

Imports `simulator.line` and `stream_features.parity`; reads archived runs.
"""
