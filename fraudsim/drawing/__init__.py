"""Plots as SVG texts: scales, axes, marks and two themes; no script, no address and no plotting library.

A plot stands alone in a file or inline in a page. The same counts give the same text.
"""
