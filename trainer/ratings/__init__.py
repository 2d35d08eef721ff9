"""What people say of summaries: the articles that they read, the file of their answers, and what those answers show.

The demo's rating page (`space.rating`) writes the file, and trainer/eval.py --ratings reads it.
"""
