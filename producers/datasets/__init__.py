"""Public fraud datasets as histories and live streams: one module per published layout, the rest shared.

A loader maps the rows of its file to events (`layout.Layout`); `dataset` orders, labels, splits and streams
them; `registry` finds the layout of a file by its header. Imports `fraudsim` and the packages of the world;
no Kafka, no Redis.
"""
