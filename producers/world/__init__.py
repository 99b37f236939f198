"""The synthetic world: its configuration, its days, and the campaigns that run through them.

Imports `producers.population`, `producers.typologies` and `producers.labels`; pure.
"""
