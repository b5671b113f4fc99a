"""One module per command: each wires the stages together and tells the person what happens."""

from jaxrec.commands.compare import compare
from jaxrec.commands.evaluate import evaluate
from jaxrec.commands.export import export
from jaxrec.commands.final import final
from jaxrec.commands.listable import Lists
from jaxrec.commands.prepare import prepare
from jaxrec.commands.reasons import explain, score
from jaxrec.commands.recommend import recommend
from jaxrec.commands.similar import similar
from jaxrec.commands.train import train
from jaxrec.commands.who import Whose

__all__ = [
    "Lists",
    "Whose",
    "compare",
    "evaluate",
    "explain",
    "export",
    "final",
    "prepare",
    "recommend",
    "score",
    "similar",
    "train",
]
