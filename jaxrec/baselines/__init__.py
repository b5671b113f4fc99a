"""What a graph network must beat: six methods of collaborative filtering, without gradients.

Each module has one method: from the matrix of interactions to a `Scorer`.
"""

from jaxrec.baselines.matrix import Step, Track
from jaxrec.baselines.methods import METHODS, RANDOM, fit
from jaxrec.rank.top_k import Scorer

__all__ = ["METHODS", "RANDOM", "Scorer", "Step", "Track", "fit"]
