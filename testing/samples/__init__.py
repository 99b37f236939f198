"""Small inputs made by hand or by the world: events, files, models, run folders.

Imports the product's rooms; starts no process and no server.
"""
