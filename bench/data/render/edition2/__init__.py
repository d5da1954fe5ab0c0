"""Edition 2 of the procedural characters: fingers, expressions, collars and cuffs, white cloth that keeps its edge,
skirts that give way to legs, arms that keep off the body, and further traits.

The people are those of edition 1, whose modules draw all that is not mended here.
"""
