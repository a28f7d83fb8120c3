"""iModel Desk."""
