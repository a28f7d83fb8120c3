"""History: what writes it down, and how it is taken out."""
