"""Everything that summarises; `trainer/systems.py` is the way in."""
