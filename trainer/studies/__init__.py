"""Studies: many trainings, or one model on many changed texts, and what can be said of the differences.

Called by trainer/study.py; calls settings, data, training and scoring, and is called by none of them.
"""
