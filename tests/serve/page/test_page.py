"""The page in a real browser, with a service behind it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.serve.page.example_export import ADDRESS, BROKEN_OFF, DEVICE, PATH, UNKNOWN, make

axe_playwright = pytest.importorskip(
    "axe_playwright_python.sync_playwright",
    reason="no browser: requirements-browser.txt is not installed",
)
Visit = Callable[..., Any]
ROWS = "#songs > li"
DARK, NARROW = {"color_scheme": "dark"}, {"viewport": {"width": 320, "height": 640}}
CALM = {"reduced_motion": "reduce"}
PHONE = NARROW | {"has_touch": True, "is_mobile": True}


def add(page: Any, query: str) -> None:
    """Adds the first song found."""
    page.get_by_role("combobox").fill(query)
    page.get_by_role("option").first.wait_for()
    changed(page, lambda: page.keyboard.press("Enter"))


def changed(page: Any, act: Callable[[], object]) -> None:
    """Acts, and waits until the list that follows is there."""
    with page.expect_response("**/recommend") as answer:
        act()
    songs = answer.value.json()["songs"]
    page.wait_for_function(
        "n => document.querySelectorAll('#songs > li').length === n", arg=len(songs)
    )
    page.wait_for_function(
        "t => document.querySelector('#songs > li .row .title').textContent === t",
        arg=songs[0]["title"],
    )


def titles(page: Any) -> list[str]:
    return page.locator(f"{ROWS} .row .title").all_text_contents()


def history(page: Any) -> list[str]:
    return page.locator("#history .title").all_text_contents()


def lit(page: Any) -> str | None:
    """The song of the history that is marked as speaking most for another."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#history li")].find(
          (node) => node.style.getPropertyValue("--share") === "1")
          ?.querySelector(".title").textContent ?? null"""
    )


def drop(page: Any, name: str, text: str) -> None:
    """Drops a file on the page, as from a folder."""
    page.evaluate(
        """([name, text]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([text], name));
          for (const type of ["dragover", "drop"]) {
            document.body.dispatchEvent(
              new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
          }
        }""",
        [name, text],
    )


def test_a_history_is_built_and_the_list_changes_with_it(visit: Visit) -> None:
    page = visit()
    assert page.locator("#empty").is_visible()
    add(page, "faded")
    [first] = history(page)
    one = titles(page)
    assert len(one) == 20
    assert first not in one
    add(page, "silent")
    assert len(history(page)) == 2
    assert history(page)[1] == first
    assert titles(page) != one
    changed(page, lambda: page.locator("#history button").first.click())
    assert history(page) == [first]
    assert titles(page) == one
    page.reload()
    page.locator(ROWS).first.wait_for()
    assert (history(page), titles(page)) == ([first], one)
    add(page, first)
    assert history(page) == [first]
    assert page.locator("#history .plays").text_content() == "2\u00d7"
    page.locator("#history button").click()
    page.locator("#empty").wait_for()
    assert not titles(page)


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit(**CALM)
    press = page.keyboard.press

    def focused(script: str) -> Any:
        return page.evaluate(f"(() => {{ const at = document.activeElement; return {script}; }})()")

    press("Tab")
    assert "Skip" in focused("at.textContent")
    press("Tab")
    assert focused("at.id") == "query"
    box = page.get_by_role("combobox")
    page.keyboard.type("faded")
    page.get_by_role("option").first.wait_for()
    assert box.get_attribute("aria-expanded") == "true"
    first, second = page.get_by_role("option").all()[:2]
    assert first.get_attribute("aria-selected") == "true"
    press("ArrowDown")
    assert second.get_attribute("aria-selected") == "true"
    assert box.get_attribute("aria-activedescendant") == second.get_attribute("id")
    press("Escape")
    assert box.get_attribute("aria-expanded") == "false"
    press("ArrowDown")
    page.get_by_role("option").first.wait_for()
    press("ArrowUp")
    last = page.get_by_role("option").last.locator(".title").text_content()
    changed(page, lambda: press("Enter"))
    assert history(page) == [last]
    add(page, "silent")
    newest, _ = history(page)

    press("Tab")
    assert focused("at.ariaLabel").startswith(f"Remove {newest}")
    assert focused("getComputedStyle(at).outlineStyle") == "solid"
    changed(page, lambda: press("Delete"))
    assert history(page) == [last]
    assert focused("at.ariaLabel").startswith(f"Remove {last}")

    for _ in range(10):
        press("Tab")
        if focused("at.classList.contains('row')"):
            break
    press("ArrowDown")
    assert focused("at.querySelector('.rank').textContent") == "2"
    press("Enter")
    assert focused("at.ariaExpanded") == "true"
    page.get_by_role("heading", name="Why").wait_for()
    press("Tab")
    chosen = titles(page)[1]
    assert focused("at.ariaLabel").startswith(f"Add {chosen}")
    changed(page, lambda: press("Enter"))
    assert history(page) == [chosen, last]
    assert focused("at.ariaLabel").startswith(f"Add {titles(page)[1]}")


def test_enter_need_not_wait_for_what_is_found(visit: Visit) -> None:
    page = visit()
    page.get_by_role("combobox").focus()
    page.keyboard.insert_text("faded")
    changed(page, lambda: page.keyboard.press("Enter"))
    assert len(history(page)) == 1
    page.keyboard.type("nobody's song")
    page.get_by_text("No song or artist has “nobody's song” in its name.").wait_for()
    page.keyboard.press("Enter")
    assert len(history(page)) == 1


def test_a_song_says_why_it_is_there(visit: Visit) -> None:
    page = visit(**CALM)
    add(page, "faded")
    add(page, "silent")
    row = page.locator(ROWS).filter(has=page.locator(".why em")).first
    why = row.locator(".why")
    opacity = "node => Number(getComputedStyle(node).opacity)"
    assert why.evaluate(opacity) == 0
    row.hover()
    assert why.evaluate(opacity) == 1
    assert why.text_content().startswith("Because you listened to ")
    named = why.locator("em").all_text_contents()
    assert named
    assert set(named) <= set(history(page))
    assert lit(page) == named[0]
    page.mouse.move(0, 0)
    assert why.evaluate(opacity) == 0
    assert lit(page) is None
    row.locator(".row").focus()
    assert why.evaluate(opacity) == 1

    row.locator(".row").click()
    values = row.locator(".reasons .value")
    values.first.wait_for()
    told = row.locator(".details section").first.locator("p").text_content()
    [score] = re.findall(r"score, (.+)\.$", told)
    *parts, score = [float(text.replace(",", "")) for text in [*values.all_text_contents(), score]]
    three_digits = 0.005 * sum(map(abs, [*parts, score]))
    assert sum(parts) == pytest.approx(score, abs=three_digits)


def test_similar_songs_can_be_added(visit: Visit) -> None:
    page = visit()
    add(page, "faded")
    page.locator(f"{ROWS} .row").first.click()
    similar = page.locator(".similar li")
    similar.first.wait_for()
    new = similar.filter(has=page.locator(".add[aria-disabled=false]")).first
    title = new.locator(".title").text_content()
    changed(page, lambda: new.locator(".add").click())
    assert history(page)[0] == title


def test_new_songs_are_told_from_known_ones(visit: Visit) -> None:
    page = visit()
    add(page, "faded")
    [known] = history(page)
    assert page.locator(".badge:visible").count() == 0
    changed(page, lambda: page.get_by_role("switch").click())
    badges = dict(zip(titles(page), page.locator(".badge").all_text_contents(), strict=True))
    assert set(badges.values()) <= {"new", "again"}
    assert badges.pop(known, "again") == "again"
    assert "new" in badges.values()


# A movement lasts less than a busy machine takes to look at it.
COUNT_MOVES = """() => {
  window.moves = 0;
  const animate = Element.prototype.animate;
  Element.prototype.animate = function (...how) {
    window.moves += 1;
    return animate.apply(this, how);
  };
}"""


def test_what_stays_is_kept_and_glides_where_motion_is_welcome(visit: Visit) -> None:
    for options, moves in (({}, True), (CALM, False)):
        page = visit(**options)
        add(page, "faded")
        page.evaluate("document.querySelectorAll('#songs > li').forEach(n => (n.seen = true))")
        before = titles(page)
        page.evaluate(COUNT_MOVES)
        changed(page, lambda page=page: page.locator(f"{ROWS} > .add").first.click())
        assert bool(page.evaluate("window.moves")) == moves
        kept = page.locator(ROWS).evaluate_all("nodes => nodes.map(node => Boolean(node.seen))")
        assert kept == [title in before for title in titles(page)]


def test_an_export_is_dropped_and_little_of_it_leaves_the_browser(visit: Visit) -> None:
    page = visit(**CALM)
    page.get_by_role("button", name="Try an invented one").wait_for()
    page.watched.requests.clear()
    changed(page, lambda: drop(page, PATH.name, make()))
    plays = json.loads(make())
    songs = {row["master_metadata_track_name"] for row in plays} - {None}
    assert len(history(page)) == 10
    page.get_by_role("button", name="Show").click()
    assert set(history(page)) == songs - {title for title, _ in UNKNOWN}
    report = page.locator("#report")
    all_known = len(songs) - len(UNKNOWN)
    assert f"{len(songs)} songs in {len(plays) - BROKEN_OFF - 1} plays" in report.text_content()
    assert f"the model knows {all_known} of them" in report.text_content()
    assert f"{BROKEN_OFF} plays under 30 seconds left out" in report.text_content()
    report.get_by_text(f"{len(UNKNOWN)} titles matched nothing").click()
    told = report.locator("li").all_text_contents()
    assert told == [f"{title} by {artist}" for title, artist in UNKNOWN]

    [sent] = page.watched.sent("/match")
    assert len(sent["rows"]) == len(songs)
    assert all(row.keys() <= {"artist", "title", "id"} for row in sent["rows"])
    everything = "".join(each.url + (each.post_data or "") for each in page.watched.requests)
    assert ADDRESS in make()
    assert all(secret not in everything for secret in (ADDRESS, DEVICE, "podcast"))


def test_an_export_of_many_years_is_taken_whole(visit: Visit) -> None:
    page = visit(**CALM)
    page.get_by_role("button", name="Try an invented one").wait_for()
    page.watched.requests.clear()
    [known, *_] = json.loads(make())
    rows = [known]
    for number in range(5_999):
        title = f"Not {number}"
        rows.append(known | {"master_metadata_track_name": title, "spotify_track_uri": title})
    changed(page, lambda: drop(page, "long.json", json.dumps(rows)))
    page.get_by_text("6,000 songs in 6,000 plays: the model knows 1 of them.").wait_for()
    page.get_by_text("5,999 titles matched nothing").click()
    assert page.locator("#report li").last.text_content() == "and 5,499 more"
    asked = [len(sent["rows"]) for sent in page.watched.sent("/match")]
    assert sum(asked) == 6_000
    assert max(asked) <= 5_000  # the service takes no more


def test_the_invented_export_is_offered_and_is_what_its_maker_makes(visit: Visit) -> None:
    assert PATH.read_text(encoding="utf-8") == make()
    page = visit()
    changed(page, lambda: page.get_by_role("button", name="Try an invented one").click())
    assert history(page)


EXPORTS: list[tuple[str, list[tuple[object, ...]]]] = [
    (
        '[{"endTime": "2023", "artistName": "A", "trackName": "T", "msPlayed": 40000}]',
        [("A", "T", "", 40000)],
    ),
    (
        'uts,artist,album,track,track_mbid\r\n1,"A, ""B""",x,"T\nU",m-1\r\n\r\n2,C,x,V,\r\n',
        [('A, "B"', "T\nU", "m-1", None), ("C", "V", "", None)],
    ),
    ("\ufeffArtist;Track;Date\nA;T;x\n", [("A", "T", "", None)]),
    ("A,x,T,01 Jan 2023 10:00\nB,y,U,", [("A", "T", "", None), ("B", "U", "", None)]),
    ("[]", []),
    ('[null, 3, {"other": 1}]', []),
]
UNREADABLE = [
    ("cut.json", '[{"endTime": "2023-01-01 10:00", "artist', "damaged, or not JSON throughout"),
    ("quote.csv", 'artist,track\n"A,T\n', "damaged in row 2: its quotes don't match"),
    ("notes.csv", "once upon a time", "no export of Spotify or Last.fm that this page knows"),
    ("export.zip", "PK\x03\x04…", "a zip; unpack it and drop the files in it"),
    ("playlists.json", '{"playlists": []}', "no plays of songs in it"),
]


def test_exports_are_read(visit: Visit) -> None:
    script = """async (texts) => {
      const { playsOf } = await import("/page/exports.js");
      return texts.map((text) => playsOf(text));
    }"""
    found = visit().evaluate(script, [text for text, _ in EXPORTS])
    keys = ("artist", "title", "id", "played")
    told = [[tuple(play.get(key) for key in keys) for play in plays] for plays in found]
    assert told == [plays for _, plays in EXPORTS]


def test_what_cannot_be_read_is_told(visit: Visit) -> None:
    page = visit()
    for name, text, said in UNREADABLE:
        drop(page, name, text)
        page.get_by_text(f"{name}: {said}").wait_for()
    assert not history(page)


def test_a_service_that_is_away_is_told_and_asked_again(visit: Visit) -> None:
    page = visit()
    add(page, "faded")
    before = titles(page)
    page.route("**/recommend", lambda route: route.abort())
    page.get_by_role("switch").click()
    page.get_by_text("The service doesn't answer.").wait_for()
    assert titles(page) == before
    assert history(page)
    page.unroute("**/recommend")
    changed(page, lambda: page.get_by_role("button", name="Try again").click())
    assert not page.locator("#notice").is_visible()
    # Chromium reports the failure; nothing else is wrong.
    assert page.watched.complaints == ["Failed to load resource: net::ERR_FAILED"]
    page.watched.complaints.clear()


def test_a_key_is_asked_for_once_and_kept(visit: Visit, guarded: tuple[str, str]) -> None:
    address, key = guarded
    page = visit(address)
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    dialog.get_by_label("Key").fill("not-the-key-that-it-is")
    page.keyboard.press("Enter")
    dialog.get_by_text("That key isn't accepted.").wait_for()
    dialog.get_by_label("Key").fill(key)
    page.keyboard.press("Enter")
    page.get_by_text("The model (").wait_for()
    add(page, "faded")
    assert titles(page)
    page.reload()
    page.locator(ROWS).first.wait_for()
    assert not dialog.is_visible()
    assert all("401" in text for text in page.watched.complaints)
    page.watched.complaints.clear()


def test_names_are_text_whatever_is_in_them(visit: Visit) -> None:
    page = visit()
    name = '<img src="x" onerror="document.title = 1">&amp;'
    song = {"song": 1, "title": name, "artist": name, "listeners": 1}
    answer = {"songs": [song | {"score": 1, "again": False, "because": [], "rest": 1}]}
    page.route("**/search?*", lambda route: route.fulfill(json={"songs": [song]}))
    page.route("**/recommend", lambda route: route.fulfill(json=answer | {"unknown": []}))
    add(page, "on")
    assert (history(page), titles(page)) == ([name], [name])
    assert page.locator("img").count() == 0


def only(rule: str) -> dict[str, Any]:
    """Options of axe-core for one rule."""
    return {"runOnly": {"type": "rule", "values": [rule]}}


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, {}),
        (DARK, only("color-contrast")),
        (PHONE, only("target-size")),
    ],
    ids=["light", "dark", "phone"],
)
def test_every_state_is_accessible_and_fits(
    visit: Visit, options: dict[str, Any], rules: dict[str, Any]
) -> None:
    """By axe-core's rules: all of them once, and those that depend on colours and on the width."""
    page = visit(**options, **CALM)
    axe = axe_playwright.Axe()

    def check(state: str) -> None:
        found = axe.run(page, options={"resultTypes": ["violations"], **rules}).response
        assert found["passes"], state
        broken = [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]
        assert not broken, state
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(wide) <= 0, f"{state}: something is too wide"

    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    darkness = 765 - sum(map(int, re.findall(r"\d+", ground)))
    assert (darkness > 380) == (options == DARK)
    check("nobody yet")
    page.get_by_role("combobox").fill("faded")
    page.get_by_role("option").first.wait_for()
    check("searching")
    changed(page, lambda: page.keyboard.press("Enter"))
    changed(page, lambda: drop(page, PATH.name, make()))
    page.locator("#report summary").click()
    changed(page, lambda: page.get_by_role("switch").click())
    page.locator(f"{ROWS} .row").first.click()
    page.locator(".similar").wait_for()
    check("a list")
    page.route("**/recommend", lambda route: route.fulfill(status=503, body="stopping"))
    page.get_by_role("switch").click()
    page.locator("#notice").wait_for()
    page.locator("#songs[aria-busy]").wait_for()
    check("away")
    page.watched.complaints.clear()
