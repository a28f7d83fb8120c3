"""What people read about an operation. No queries but those of estimates."""
