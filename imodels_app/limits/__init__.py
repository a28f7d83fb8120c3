"""How many calls the platform allows, who is next, and whether it answers at all."""
