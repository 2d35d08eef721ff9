"""From systems and data to records: jobs, blocks, ledger, columns, intervals, significance, slices.

Called by trainer/eval.py and the end of a training; reports and cards read its records.
"""
