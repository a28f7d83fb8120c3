"""What people and chats are told, by e-mail and by webhook."""
