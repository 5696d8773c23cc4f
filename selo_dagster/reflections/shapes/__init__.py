"""What kinds make: how each is asked for, read, checked and stored."""
