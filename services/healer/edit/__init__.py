"""Edits of the two files in place: only the lines that a repair is about change, comments and order stay.

The edits are of text, at the line and column that the checker's own nodes have. A round trip through ruamel.yaml leaves
the recipes as they are only where it is told their indentation, quotes and width beforehand; by its defaults it changes
some forty lines of each. A file may have been written by anybody, in more than one style: text stays as it is in all.
"""
