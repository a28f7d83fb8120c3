"""The whole product on one machine, for whoever wants to try it: python -m demo."""
