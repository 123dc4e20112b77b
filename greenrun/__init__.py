"""The operator's command and the embedded mode that runs everything on one machine."""
