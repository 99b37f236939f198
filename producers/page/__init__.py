"""A history described: a text table, and a page of plots in one HTML file.

Imports `producers.history`; plots are made by `fraudsim.drawing`.
"""
