"""A training from plan to finished folder: fit, forecast, checkpoints, finish.

Called by trainer/train.py only.
"""
