"""Merchants, cards and their honest transactions.

Imports `fraudsim`, `producers.calendar`, `producers.reference` and `producers.rng`; pure.
"""
