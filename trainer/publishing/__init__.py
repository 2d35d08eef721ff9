"""The card of a finished model, and its way to the Hub.

Called by trainer/train.py and the end of a training; `python -m trainer.publishing.card` draws a card again.
"""
