"""Seeder: every image that the files name is in the registry before the pipeline starts."""
