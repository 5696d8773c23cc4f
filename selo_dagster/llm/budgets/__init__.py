"""What models may cost in a day: reserved before a call, counted after it, given back where a call was lost."""
