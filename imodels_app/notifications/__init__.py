"""E-mail about operations."""
