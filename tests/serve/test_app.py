"""The service answers as docs/service.md says, and refuses what it can't answer with a reason."""

import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from jaxrec.data.ids import IdMap
from jaxrec.serve import gate, requests
from jaxrec.serve.app import make_app
from jaxrec.serve.bundle import write_bundle
from jaxrec.serve.ids import item_table
from tests.serve.bundles import HISTORIES, NAMES, NUM_LISTED, WEIGHTS, small_bundle

KEY = "0123456789abcdef-key"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, small_bundle())
    return folder


@pytest.fixture(scope="module")
def client(bundle: Path) -> Iterator[TestClient]:
    with TestClient(make_app(bundle)) as found:
        yield found


def answer(client: TestClient, path: str, asked: Any, form: Any = None) -> dict[str, Any]:
    """The answer to a request that must succeed, of the form that the schema promises."""
    response = client.post(path, json=asked)
    assert response.status_code == 200, response.text
    if form is not None:
        TypeAdapter(form).validate_json(response.content, extra="forbid")
    found: dict[str, Any] = response.json()
    return found


def songs(found: dict[str, Any]) -> list[str]:
    return [each["song"] for each in found["songs"]]


def recommended(client: TestClient, **asked: Any) -> dict[str, Any]:
    return answer(client, "/recommend", asked, requests.RecommendAnswer)


def history(*ids: str) -> list[dict[str, Any]]:
    return [{"song": each} for each in ids]


def test_a_history_has_a_list_with_reasons_that_add_up(client: TestClient) -> None:
    found = recommended(client, history=history("s0", "s4"), reasons=20)
    assert songs(found)[:2] == ["s1", "s3"]  # equally good
    assert sorted(songs(found)[2:]) == ["s2", "s5"]
    scores = WEIGHTS[0] + WEIGHTS[4]
    for each in found["songs"]:
        number = int(each["song"][1])
        assert each["score"] == pytest.approx(scores[number])
        parts = [part["contribution"] for part in each["because"]]
        assert parts == sorted(parts, reverse=True)
        assert sum(parts) + each["rest"] == pytest.approx(each["score"])
        assert not each["again"]
    assert found["unknown"] == []


def test_an_artist_is_listed_as_often_as_asked(client: TestClient) -> None:
    found = recommended(client, history=history("s3"), include_listened=True, per_artist=1)
    assert songs(found) == ["s3", "s2", "s4", "s5"]  # not s0, by Zaz as s2; nor s1, as s4
    batch = {"requests": [{"history": history("s3"), "per_artist": 0}]}
    assert client.post("/recommend/batch", json=batch).status_code == 422


def test_a_limit_where_no_artist_is_known_is_refused(tmp_path: Path) -> None:
    ids = IdMap(np.array([f"s{number}" for number in range(len(NAMES))], object))
    write_bundle(tmp_path, dataclasses.replace(small_bundle(), items=item_table(ids)))
    with TestClient(make_app(tmp_path)) as client:
        asked = {"history": history("s3"), "per_artist": 1}
        response = client.post("/recommend/batch", json={"requests": [asked]})
    assert response.status_code == 422
    assert response.json()["error"]["field"] == "requests[0].per_artist"


def test_a_known_listener_has_a_list_without_what_they_know(client: TestClient) -> None:
    found = recommended(client, listener="ann")
    assert songs(found) == ["s2", "s4", "s5"]  # s3 is known though nothing was learnt from it
    assert songs(recommended(client, listener="ann", k=1)) == ["s2"]


def test_songs_may_come_again_be_left_out_or_chosen_from(client: TestClient) -> None:
    asked = {"history": history("s0", "s4"), "include_listened": True}
    found = recommended(client, **asked)
    assert {each["song"] for each in found["songs"] if each["again"]} == {"s0", "s4"}
    assert songs(recommended(client, **asked, exclude=["s0", "s3"], k=2)) == ["s4", "s1"]
    among = recommended(client, history=history("s0"), items=["s5", "s2", "s2", "nope", "s0"])
    assert songs(among) == ["s2", "s5"]
    assert among["unknown"] == ["nope"]
    assert songs(recommended(client, history=history("s0"), items=[])) == []


def test_unknown_songs_are_told_and_nobody_has_a_song_that_training_lacks(
    client: TestClient,
) -> None:
    found = recommended(client, history=history("s0", "x", "s6", "x"), k=500)
    assert found["unknown"] == ["x", "s6"]
    assert len(found["songs"]) == NUM_LISTED - 1


RAW = {"plays": "raw", "half_life_days": None}


def test_plays_weigh_as_in_training(tmp_path: Path) -> None:
    write_bundle(tmp_path / "raw", small_bundle(weight="raw", learnt=RAW))
    with TestClient(make_app(tmp_path / "raw")) as client:
        entries = [{"song": "s0", "plays": 2}, {"song": "s4", "plays": 0.5}, {"song": "s0"}]
        (first,) = recommended(client, history=entries, items=["s2"])["songs"]
    assert first["score"] == pytest.approx(3 * WEIGHTS[0, 2] + 0.5 * WEIGHTS[4, 2])


def test_old_listens_count_less_where_the_model_weighs_them_by_age(tmp_path: Path) -> None:
    write_bundle(tmp_path / "aging", small_bundle(weight="raw", half_life_days=1.0, learnt=RAW))
    entries = [{"song": "s0", "time": 86_400 * 3}, {"song": "s4", "time": 86_400}, {"song": "s5"}]
    with TestClient(make_app(tmp_path / "aging")) as client:
        (first,) = recommended(client, history=entries, items=["s2"])["songs"]
    weighed = WEIGHTS[0, 2] + 0.25 * WEIGHTS[4, 2] + WEIGHTS[5, 2]
    # Together they count as much as what was learnt by, which doesn't age.
    assert first["score"] == pytest.approx(weighed * 3 / 2.25)


def test_ids_that_a_browser_would_round_go_out_as_text_and_come_in_again(tmp_path: Path) -> None:
    ids = np.arange(7) + 2**53 - 2
    items = item_table(IdMap(ids, np.array(NAMES, object)))
    write_bundle(tmp_path / "large", dataclasses.replace(small_bundle(), items=items))
    with TestClient(make_app(tmp_path / "large")) as client:
        found = recommended(client, history=[{"song": int(ids[0])}], k=3)
        assert songs(found) == [2**53 - 1, str(2**53), str(2**53 + 1)]
        nearest = answer(client, "/similar", {"song": str(2**53), "k": 1})
        assert songs(nearest) == [2**53 - 1]


def test_a_batch_equals_one_at_a_time(client: TestClient) -> None:
    asked = [{"listener": "ann"}, {"history": history("s0")}, {"listener": "bob", "k": 1}]
    found = answer(client, "/recommend/batch", {"requests": asked}, requests.BatchAnswer)
    assert found["answers"] == [recommended(client, **each) for each in asked]
    wrong = client.post("/recommend/batch", json={"requests": [*asked, {"listener": "zoe"}]})
    assert wrong.status_code == 404
    assert wrong.json()["error"]["field"] == "requests[3].listener"


@pytest.mark.parametrize("who", [{"listener": "bob"}, {"history": history("s1", "s2", "s5")}])
def test_an_explanation_adds_up_to_the_score(client: TestClient, who: dict[str, Any]) -> None:
    found = answer(client, "/explain", who | {"song": "s3"}, requests.ExplainAnswer)
    parts = {each["song"]: each["contribution"] for each in found["because"]}
    assert parts == {f"s{each}": pytest.approx(WEIGHTS[each, 3]) for each in HISTORIES["bob"]}
    assert found["score"] == pytest.approx(sum(parts.values()) + sum(found["rest"].values()))
    assert found["song"] == {"song": "s3", "title": "rain  dance", "artist": "Nobody"}


def test_similar_songs_come_nearest_first_without_the_song(client: TestClient) -> None:
    found = answer(client, "/similar", {"song": "s5", "k": 3}, requests.SimilarAnswer)
    assert songs(found) == ["s4", "s3", "s2"]
    assert [each["similarity"] for each in found["songs"]] == pytest.approx(WEIGHTS[5, [4, 3, 2]])


def test_a_search_finds_what_may_be_listed(client: TestClient) -> None:
    response = client.get("/search", params={"q": "rain", "limit": 2})
    TypeAdapter(requests.SearchAnswer).validate_json(response.content, extra="forbid")
    assert response.json()["songs"] == [
        {"song": "s1", "title": "Rain", "artist": "The Café", "listeners": 2},
        {"song": "s2", "title": "Rain", "artist": "Zaz", "listeners": 1},
    ]
    assert client.get("/search", params={"q": "moon"}).json() == {"songs": []}


def test_rows_of_an_export_are_matched_by_id_else_by_name(client: TestClient) -> None:
    rows = [
        {"id": "s2"},
        {"id": "nope", "title": "sun", "artist": "the CAFÉ"},
        {"title": "rain"},
        {"title": "Rain", "artist": "Somebody"},
        {"id": "s6"},
        {"id": "nope"},
        {"id": ""},
    ]
    rows[6]["title"] = "Été"
    found = answer(client, "/match", {"rows": rows}, requests.MatchAnswer)
    assert [(each["row"], each["song"]) for each in found["matches"]] == [
        (0, "s2"),
        (1, "s4"),
        (2, "s1"),
        (6, "s0"),
    ]
    assert found["unmatched"] == [3, 4, 5]


def test_it_says_what_it_is(client: TestClient) -> None:
    found = client.get("/model")
    TypeAdapter(requests.ModelAnswer).validate_json(found.content, extra="forbid")
    assert found.json()["songs"] == NUM_LISTED
    assert found.json()["bundle"] == client.get("/health").json()["bundle"]
    assert "/recommend" in client.get("/openapi.json").json()["paths"]
    docs = client.get("/docs")
    assert docs.status_code == 200
    assert "http://" not in docs.text and "https://" not in docs.text.replace("https://json", "")


def test_every_request_is_counted_by_its_route(bundle: Path) -> None:
    with TestClient(make_app(bundle)) as client:
        for path in ("/health", "/nonsense-1", "/nonsense-2"):
            client.get(path)
        client.request("BREW", "/health")
        text = client.get("/metrics").text
    assert 'jaxrec_requests_total{method="GET",route="/health",status="200"} 1.0' in text
    assert 'jaxrec_requests_total{method="GET",route="other",status="404"} 2.0' in text
    assert "nonsense" not in text and "BREW" not in text
    assert "jaxrec_request_seconds_bucket" in text


WRONG: dict[str, tuple[str, Any, int, str | None, str]] = {
    "nobody": ("/recommend", {}, 422, None, "expected either listener or history"),
    "both": ("/recommend", {"listener": "ann", "history": history("s0")}, 422, None, "either"),
    "no songs": ("/recommend", {"history": []}, 422, "history", "at least 1"),
    "unknown listener": ("/recommend", {"listener": "zoe"}, 404, "listener", "no listener 'zoe'"),
    "unknown songs": ("/recommend", {"history": history("x")}, 404, "history", "none of the 1"),
    "k": ("/recommend", {"listener": "ann", "k": 501}, 422, "k", "less than or equal to 500"),
    "k as text": ("/recommend", {"listener": "ann", "k": "5"}, 422, "k", "integer"),
    "typo": ("/recommend", {"listener": "ann", "exlude": []}, 422, "exlude", "not permitted"),
    "song": (
        "/recommend",
        {"history": [{"song": 1.5}]},
        422,
        "history[0].song",
        "expected an id: text",
    ),
    "no song": ("/recommend", {"history": [{}]}, 422, "history[0].song", "required"),
    "plays": ("/recommend", {"history": [{"song": "s0", "plays": 0}]}, 422, "history[0].plays", ""),
    **{
        f"{name} {value!r}": (
            "/recommend",
            {"history": [{"song": "s0", name: value}]},
            422,
            f"history[0].{name}",
            "a valid number",
        )
        for name, value in (("plays", True), ("plays", "3"), ("time", "1600000000"))
    },
    "large id": ("/recommend", {"listener": 2**80}, 422, "listener", "expected an id: text"),
    "explain": ("/explain", {"listener": "ann", "song": "x"}, 404, "song", "no song 'x'"),
    "unlisted": ("/similar", {"song": "s6"}, 404, "song", "no song 's6'"),
    "no row": ("/match", {"rows": [{"artist": "Zaz"}]}, 422, "rows[0]", "an id or a title"),
    "a list": ("/similar", [], 422, None, ""),
    "text": ("/similar", "s0", 422, None, ""),
    "nothing": ("/similar", None, 422, None, ""),
}


@pytest.mark.parametrize(("path", "asked", "status", "field", "message"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_answered_is_refused_with_the_field(
    client: TestClient, path: str, asked: Any, status: int, field: str | None, message: str
) -> None:
    response = client.post(path, json=asked)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["field"] == field
    assert message in error["message"]


BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "no text": b'{"listener": "\xff"}',
    "deep": b"[" * 500_000,
    "deep in a field": b'{"listener": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a half character": b'{"listener": "\\ud800"}',
    "NaN": b'{"history": [{"song": "s0", "plays": NaN}]}',
    "a long number": b'{"listener": ' + b"9" * 100_000 + b"}",
    "infinity": b'{"history": [{"song": "s0", "plays": 1e999}]}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_refused_that_is_no_request(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/recommend", content=body, headers=headers)
    assert 400 <= response.status_code < 500, response.text
    assert response.json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused_told_or_not(client: TestClient) -> None:
    large = b" " * (gate.LARGEST_BODY + 1)
    told = client.post("/recommend", content=large)
    untold = client.post("/recommend", content=iter([large[:-1], b" "]))
    for response in (told, untold):
        assert response.status_code == 413
        assert "expected at most 1,048,576 bytes" in response.json()["error"]["message"]
    fits = client.post("/recommend", content=b" " * gate.LARGEST_BODY)
    assert fits.status_code == 422


def test_every_answer_has_the_headers_that_keep_a_browser_safe(client: TestClient) -> None:
    for response in (client.get("/health"), client.get("/nonsense"), client.post("/recommend")):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
    assert client.get("/nonsense").status_code == 404
    assert client.get("/recommend").status_code == 405


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        (f"Basic {KEY}", 401),
        (f"Bearer {KEY}x", 401),
        ("Bearer", 401),
        (f"Bearer {KEY}", 200),
        (f"bearer {KEY}", 200),
        ("Bearer another-key-of-two", 200),
    ],
)
def test_a_key_is_asked_for_where_there_is_one(
    bundle: Path, header: str | None, status: int
) -> None:
    headers = {} if header is None else {"authorization": header}
    with TestClient(make_app(bundle, keys=[KEY, "another-key-of-two"])) as client:
        response = client.get("/model", headers=headers)
        assert response.status_code == status
        if status == 401:
            assert response.headers["www-authenticate"] == "Bearer"
            assert client.post("/recommend", json={"listener": "ann"}).status_code == 401
            assert client.get("/metrics").status_code == 401
            assert client.get("/health").status_code == 200


def test_the_log_has_nothing_of_what_was_asked(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/recommend", json={"history": history("s0", "secret-song")})
        client.post("/recommend", json={"listener": "secret-listener"})
        client.get("/search", params={"q": "secret words"})
        client.get("/secret-path")
    own = [record for record in caplog.records if record.name.startswith("jaxrec")]
    assert len(own) == 4
    assert "secret" not in " ".join(record.getMessage() for record in own)
    assert own[0].getMessage().startswith("POST /recommend 200 ")


def test_too_many_at_once_are_told_to_try_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MOST_AT_ONCE", 0)
    response = client.get("/health")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"


def test_a_failure_of_our_own_is_an_answer_too_and_its_reason_is_in_the_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("jaxrec.serve.answers.recommend", fail)
    response = client.post("/recommend", json={"listener": "ann"})
    assert response.status_code == 500
    assert "planted" not in response.text
    assert "planted" in caplog.text
    assert 'status="500"' in client.get("/metrics").text


def test_scores_and_ids_are_plain_json(client: TestClient) -> None:
    text = client.post("/recommend", json={"listener": "ann"}).content
    assert json.loads(text, parse_constant=pytest.fail)
    assert np.isfinite([each["score"] for each in json.loads(text)["songs"]]).all()
