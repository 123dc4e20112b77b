"""Generator: makes the two files, from a template, a model or the recipes, and lets nothing unchecked out."""
