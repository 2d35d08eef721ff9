"""The report of an evaluation, drawn from records only: tables, sections, plots, HTML pages with their templates.

Called by trainer/eval.py; the learning curves use its plots.
"""
