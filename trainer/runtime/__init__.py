"""The process and its machine: hardware, versions, processes and launchers, console, files written whole, locks.

Called by any room; imports none.
"""
