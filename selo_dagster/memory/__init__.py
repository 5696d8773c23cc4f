"""What a person said and what is remembered of it, and the stream of what happened."""
