"""The line in event time: traffic, scores, actions, and what follows from them.

Imports `simulator.features`, `simulator.regimes`, `producers`, `model` and `scorer`.
"""
