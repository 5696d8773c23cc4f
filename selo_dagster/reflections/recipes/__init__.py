"""What each kind reads: which sources, of which days, in which order."""
