"""The automatic recipe: looks at the data, tries what suits them, chooses on validation, blends.

`plan` says what is tried for data of a size (in `searches` what that is of a method, in
`network_search` of the network, in `by_time` where listens have times), `parts` cuts what is chosen
by, `trials` fits and scores, `climb` goes from settings to better ones, `ranking` chooses what
counts at ranking alone, `pool` and `weights` what is blended and how much each member counts,
`recipe` puts it together, `chosen` begins it and `journal` lets it go on after a stop.
"""
