"""Edits of the two files in place: only the lines that a repair is about change, comments and order stay.

The edits are of text, at the line and column that the checker's own nodes have. A round trip through ruamel.yaml was
tried first: over the recipes it also rewrote quotes, folded commands and the indentation of lists that no repair was
about; a diff must show the repair alone.
"""
