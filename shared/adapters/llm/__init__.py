"""The model providers behind one port."""
