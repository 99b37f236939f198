"""A leakage audit of a history: does anything give the fraud away that no real feed would?"""
