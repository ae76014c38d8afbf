"""Data sets as plain arrays, and how they are split.

The modules are imported one by one, so that listing what there is (:mod:`.catalogue`) needs no numpy.
"""
