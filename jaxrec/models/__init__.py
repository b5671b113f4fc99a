"""Everything that ranks: models that score histories, and the closed forms that make some of them.

`model` says what every model can do; `factors`, `item_weights`, `filters` and `blend` are the kinds
there are. `closed_forms` lists the methods that are fitted at once, a module each; `method` says
what any method can do.
"""
