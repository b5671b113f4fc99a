"""Several processes of one run: how they meet, agree, watch over each other and end together.

A run of several processes is one program that each process runs alike, as JAX wants it
(https://docs.jax.dev/en/latest/multi_process.html). Each process has a guard, a small parent
without JAX (`guard`). The guards are linked in a star around process 0's and beat; `leader` and
`follower` are the two parts in it, `verdict` says what a run died of. The child does the work:
`place` says which of the processes it is, `joining` starts JAX's runtime, `together` is how the
work agrees on what one process alone can know.
"""
