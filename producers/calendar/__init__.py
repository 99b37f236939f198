"""The calendar of a world: rhythms, seasons, holidays, pay days, opening hours and growth, by day.

Imports `producers.reference` and `producers.rng`; pure.
"""
