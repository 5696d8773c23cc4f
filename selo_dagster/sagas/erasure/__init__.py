"""Forgetting a person: what the saga `user_erasure` is made of, its report, its proof and the command."""
