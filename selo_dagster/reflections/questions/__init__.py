"""The queue of questions that the companion would like to ask a person."""
