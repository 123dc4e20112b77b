"""What greenrun is measured with."""
