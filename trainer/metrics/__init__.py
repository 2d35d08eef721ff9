"""How good a summary is: one file a metric, over the small base in `base.py`."""
