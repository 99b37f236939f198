"""The whole line on one machine, from preparation to summary, and the one-shot steps of a deployment.

Imports the rooms below `runner` and the other packages of `runner`.
"""
