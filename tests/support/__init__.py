"""What tests stand on: real databases, fakes, builders."""
