"""Pre-training a small T5 on any text: corpus, objectives, their mixture, the loop, learning curves.

Called by trainer/pretrain.py only; `python -m trainer.pretraining.curves` draws the curves.
"""
