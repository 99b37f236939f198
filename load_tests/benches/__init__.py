"""The measurements behind `fraudsim bench`, one package for each part of the product.

Imports the product's rooms, `load_tests.rig`, `load_tests.rivals` and `testing`.
"""
