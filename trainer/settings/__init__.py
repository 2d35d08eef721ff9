"""The settings of every command line: groups of fields that are flags, recipes, validation, `--help`.

Called by the command lines and by rooms that take a group of settings; knows no torch.
"""
