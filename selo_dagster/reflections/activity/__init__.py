"""How lively a person is, and when what they left unread is due for that."""
