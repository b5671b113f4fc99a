"""Choosing settings on validation parts: the space, the study, a candidate's score, the choice."""
