/** The list of what to play next: scores, reasons, similar songs. */

import { called, count, glide, make, named } from "./elements.js";
import { ask } from "./service.js";

const SIMILAR = 5;
const REASONS = 6; // of all of a history's songs, in a song's details
const ROUNDING = 1e-4; // of a score: what is less can't be seen in three digits
const STUMP = 0.12; // of the bar, for the least score of the list, which is not nothing
const THREE = { minimumSignificantDigits: 3, maximumSignificantDigits: 3 };
/** What of a score doesn't come of single songs. */
const RESTS = {
  own: "Your taste as a whole",
  popularity: "How many listen to it",
  scale: "Bringing models to one scale",
};
const inWords = new Intl.ListFormat("en-GB"); // a, b and c
const digits = new Intl.NumberFormat("en", THREE);
const signed = new Intl.NumberFormat("en", { ...THREE, signDisplay: "always" });

/**
 * @param {HTMLElement} list
 * @param {object} page what the list asks of the page: `add(song)`, `has(song)`, `history()` as
 *   the service takes it, `light(because)`, `mixed()` whether known songs may be in the list
 * @returns {(songs: object[]) => void} shows these
 */
export function songsView(list, page) {
  const rows = new Map(); // by song

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const kind = kindOf(event.target);
    if (!step || !kind) return;
    event.target.parentElement[step]?.querySelector(kind).focus();
    event.preventDefault();
  });

  return (songs) => {
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const at = [...list.children].findIndex((node) => node.contains(focused));
    const greatest = songs[0]?.score;
    const span = greatest - songs.at(-1)?.score;
    glide(list, () => {
      const kept = new Set(songs.map(({ song }) => song));
      for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
      const nodes = songs.map((song, i) => {
        if (!rows.has(song.song)) rows.set(song.song, makeRow(song, page));
        const share = span > 0 ? 1 - ((1 - STUMP) * (greatest - song.score)) / span : 1;
        rows.get(song.song).update(song, i + 1, share);
        return rows.get(song.song).node;
      });
      list.replaceChildren(...nodes);
    });
    page.light([]);
    if (focused && !list.contains(focused)) {
      const heir = list.children[Math.min(at, songs.length - 1)];
      heir?.querySelector(kindOf(focused) ?? ".row").focus();
    }
  };
}

/** Which of a row's buttons it is, as a selector. */
const kindOf = (node) => [".row", ".row + .add"].find((kind) => node.matches(kind));

function makeRow(song, page) {
  let now = song;
  const rank = make("span.rank");
  const why = make("span.why");
  const badge = make("span.badge");
  const bar = makeBar();
  const add = makeAdder(song, page);
  const details = make("div.details", { hidden: true });
  const line = make("span.line", {}, make("span.artist", {}, song.artist), why);
  const title = make("span.title", {}, song.title);
  const button = make(
    "button.row",
    { type: "button", "aria-expanded": "false", click: toggle },
    ...[rank, title, badge, line],
  );
  const lit = () => page.light(now.because);
  const unlit = () => page.light([]);
  const node = make(
    "li",
    { pointerenter: lit, focusin: lit, pointerleave: unlit, focusout: unlit },
    ...[button, add, bar, details],
  );

  function toggle() {
    details.hidden = !details.hidden;
    button.setAttribute("aria-expanded", String(!details.hidden));
    if (!details.hidden) fill();
  }
  async function fill() {
    const asked = now;
    const parts = [
      part("Why", `Why ${now.title}`, () => reasons(now, page.history())),
      part("Similar songs", `Songs similar to ${now.title}`, () => similar(now, page)),
    ];
    const filled = await Promise.all(parts);
    if (asked === now) details.replaceChildren(...filled);
  }

  return {
    node,
    update(next, place, share) {
      now = next;
      rank.textContent = place;
      why.replaceChildren(...because(now.because));
      badge.hidden = !page.mixed();
      badge.textContent = now.again ? "again" : "new";
      badge.classList.toggle("again", now.again);
      bar.title = `Score ${digits.format(now.score)}`;
      bar.firstChild.style.transform = `scaleX(${share})`;
      add.update();
      if (!details.hidden) fill();
    },
  };
}

/** The button that adds a song to the history; a tick where it is there. */
function makeAdder(song, page) {
  const button = make("button.add", { type: "button", click: () => page.has(song) || add() });
  function add() {
    page.add(song);
    button.update();
  }
  button.update = () => {
    const there = page.has(song);
    const label = there ? `${called(song)} is added` : `Add ${called(song)} to what you listen to`;
    button.textContent = there ? "✓" : "+";
    button.setAttribute("aria-label", label);
    button.setAttribute("aria-disabled", String(there));
  };
  button.update();
  return button;
}

function makeBar(share = 0) {
  const bar = make("span.bar", { "aria-hidden": "true" }, make("span"));
  bar.firstChild.style.transform = `scaleX(${share})`;
  return bar;
}

function because(songs) {
  if (!songs.length) return ["None of your songs speaks for it"];
  const parts = inWords.formatToParts(songs.map(({ title }) => title));
  const nodes = parts.map((part) =>
    part.type === "element" ? make("em", {}, part.value) : part.value,
  );
  return ["Because you listened to ", ...nodes];
}

/** A part of a song's details; where the service fails, it says so. */
async function part(heading, label, body) {
  const content = await body().catch((error) => [make("p.quiet", {}, error.message)]);
  return make("section", { "aria-label": label }, make("h3", {}, heading), ...content);
}

/** All that a song's score is made of. */
async function reasons({ song }, history) {
  const { because, rest, score } = await ask("explain", { history, song });
  const lines = because.slice(0, REASONS);
  const size = ({ contribution }) => Math.abs(contribution);
  const greatest = Math.max(...lines.map(size)); // of the songs: sums would dwarf them
  const more = because.slice(REASONS);
  if (more.length) {
    const title = `${count(more.length, "other song")} of yours`;
    const contribution = more.reduce((sum, each) => sum + each.contribution, 0);
    lines.push({ title, contribution });
  }
  const parts = Object.entries(rest).map(([name, contribution]) => {
    return { title: RESTS[name] ?? name, contribution };
  });
  lines.push(...parts.filter((line) => size(line) > ROUNDING * Math.abs(score)));
  const items = lines.map((line) => {
    const value = make("span.value", {}, signed.format(line.contribution));
    if (line.song === undefined) return make("li", {}, named(line), value);
    const bar = makeBar(greatest && size(line) / greatest);
    bar.classList.toggle("against", line.contribution < 0);
    return make("li", {}, named(line), value, bar);
  });
  const total = make("p.quiet", {}, `Together its score, ${digits.format(score)}.`);
  return [make("ul.reasons", {}, ...items), total];
}

async function similar({ song }, page) {
  const { songs } = await ask("similar", { song, k: SIMILAR });
  if (!songs.length) return [make("p.quiet", {}, "None.")];
  const items = songs.map((each) => make("li", {}, named(each), makeAdder(each, page)));
  return [make("ul.similar", {}, ...items)];
}
