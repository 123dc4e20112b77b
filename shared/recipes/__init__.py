"""The template library: pipelines and Dockerfiles per stack, as data plus one renderer."""
