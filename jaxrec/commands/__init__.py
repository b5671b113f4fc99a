"""One module per command: each wires the stages together and tells the person what happens."""

from jaxrec.commands.compare import compare
from jaxrec.commands.evaluate import evaluate
from jaxrec.commands.export import export
from jaxrec.commands.final import final
from jaxrec.commands.prepare import prepare
from jaxrec.commands.reasons import explain, score, similar
from jaxrec.commands.recommend import recommend
from jaxrec.commands.train import train

__all__ = [
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
