"""What is shipped for production."""
