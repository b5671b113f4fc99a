"""The automatic recipe: looks at the data, tries what suits them, chooses on validation, blends.

`plan` says what is tried for data of a size, `parts` cuts what is chosen by, `candidates` fits and
scores, `climb` goes from settings to better ones, `pool` and `weights` choose what is blended and
how much each member counts, `recipe` puts it together, `journal` lets it go on after a stop.
"""
