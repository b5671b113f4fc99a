"""What may be asked of the service, and what it answers: the forms that OpenAPI tells of."""

from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

MOST_ENTRIES = 10_000  # of a history, and of songs to leave out or to choose from
MOST_ROWS = 5_000  # to be matched
MOST_SONGS = 500  # in a list
MOST_REASONS = 20
MOST_REQUESTS = 100  # in a batch
LONGEST_TEXT = 1_000  # characters
LATEST = 1e11  # seconds since 1970

Text = Annotated[StrictStr, StringConstraints(max_length=LONGEST_TEXT)]
AnyId = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | Text
Count = Annotated[StrictInt, Field(ge=1, le=MOST_SONGS)]


class _Asked(BaseModel):
    """A request: a field that isn't known is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Entry(_Asked):
    """A song of a history."""

    song: AnyId
    plays: StrictFloat = Field(default=1.0, gt=0, le=1e9, allow_inf_nan=False)
    # Seconds since 1970; counts where the model weighs listens by their age.
    time: StrictFloat | None = Field(default=None, ge=-LATEST, le=LATEST, allow_inf_nan=False)


class Who(_Asked):
    """A listener whom the model knows, or anybody's history."""

    listener: AnyId | None = None
    history: list[Entry] | None = Field(default=None, min_length=1, max_length=MOST_ENTRIES)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.listener is None) == (self.history is None):
            raise ValueError("expected either listener or history")
        return self


class RecommendRequest(Who):
    """What to list, and for whom."""

    k: Count = 20
    include_listened: StrictBool = False
    exclude: list[AnyId] = Field(default=[], max_length=MOST_ENTRIES)
    items: list[AnyId] | None = Field(default=None, max_length=MOST_ENTRIES)
    per_artist: Count | None = None  # songs of one artist at the most
    reasons: StrictInt = Field(default=3, ge=0, le=MOST_REASONS)


class BatchRequest(_Asked):
    """Several at once."""

    requests: list[RecommendRequest] = Field(min_length=1, max_length=MOST_REQUESTS)


class ExplainRequest(Who):
    """Why a song has its score."""

    song: AnyId


class SimilarRequest(_Asked):
    """Songs like a song."""

    song: AnyId
    k: Count = 10


class Row(_Asked):
    """A song as an export of listens tells of it."""

    id: AnyId | None = None
    title: Text = ""
    artist: Text = ""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.id is None and not self.title.strip():
            raise ValueError("expected an id or a title")
        return self


class MatchRequest(_Asked):
    """Songs to be found in the model."""

    rows: list[Row] = Field(min_length=1, max_length=MOST_ROWS)


class Song(BaseModel):
    """A song of the model."""

    song: int | str
    title: str
    artist: str


class Found(Song):
    """A song that was searched for."""

    listeners: int


class Reason(Song):
    """What a song of the history brings to a score."""

    contribution: float


class Listed(Song):
    """A song of a list."""

    score: float
    again: bool
    because: list[Reason]
    rest: float


class Similar(Song):
    """A song like another."""

    similarity: float


class Match(Song):
    """A row that was found."""

    row: int


class SearchAnswer(BaseModel):
    """The songs found."""

    songs: list[Found]


class RecommendAnswer(BaseModel):
    """A list, and what of the request isn't known."""

    songs: list[Listed]
    unknown: list[int | str]


class BatchAnswer(BaseModel):
    """A list for each request, in their order."""

    answers: list[RecommendAnswer]


class ExplainAnswer(BaseModel):
    """A score, taken apart: the contributions and the rest add up to it."""

    song: Song
    score: float
    because: list[Reason]
    rest: dict[str, float]


class SimilarAnswer(BaseModel):
    """Songs like a song, the nearest first."""

    songs: list[Similar]


class MatchAnswer(BaseModel):
    """The rows that were found, and those that weren't."""

    matches: list[Match]
    unmatched: list[int]


class ModelAnswer(BaseModel):
    """What the bundle is and how good it was found."""

    bundle: str
    method: str
    songs: int
    listeners: int
    part: str | None
    metrics: dict[str, float]
    has_names: bool


class HealthAnswer(BaseModel):
    """That the service answers, and by which bundle."""

    status: str
    bundle: str


class Mistake(BaseModel):
    """What is wrong, and where."""

    message: str
    field: str | None


class ErrorAnswer(BaseModel):
    """Any answer but 200."""

    error: Mistake
