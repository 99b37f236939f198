"""Public fraud datasets as histories and live streams: one file per layout, all else shared.

A layout maps the rows of its file onto events (`layout.Layout`); `dataset` orders them, labels them,
splits them and streams them; `known` tells the layouts apart by their headers.
"""
