"""Who a person is, what they may do here, and their tokens."""
