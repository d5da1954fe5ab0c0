"""Fetches what figures show, from the store, from records and from trained models, and has it drawn.

`make` chooses and draws, `studio` is what it is given. Nothing is imported here: `bench transfer` and `bench page`,
which need a trained model alone, would wait for matplotlib and leave its caches.
"""
