"""Contract suites for typologies, dataset loaders, kernels and feature engines; run them on your own classes.

Imports the product and `testing.samples`; hypothesis and pytest, which users install themselves.
"""
