"""The process and its machine: hardware, versions, processes of a run, files written whole, durations in words.

Called by any room; imports none.
"""
