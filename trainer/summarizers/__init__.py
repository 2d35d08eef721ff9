"""Everything that summarises, behind one protocol; `systems.py` makes one from its name.

Called by training, scoring and the demo.
"""
