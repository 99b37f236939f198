"""The producer's process: which live stream it opens, and how it sends it.

Imports `fraudsim` and the other packages of `producers`, except `label_feed`, `audit` and `page`.
"""
