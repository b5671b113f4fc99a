"""A run's folder: what a run is, how it is fitted there, saved, stopped, opened and measured."""
