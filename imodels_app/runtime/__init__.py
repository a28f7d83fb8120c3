"""What processes share: the clock, hints to workers, signs of life."""
