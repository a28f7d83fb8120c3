"""Which rules hold for a request, and whether its decisions meet them. Pure: no row is read here.

Who of the people here and now may decide is known by eligibility and accounts.deciders.
"""
