/** The songs that a person listens to, as chips that can be removed. */

import { $, called, count, glide, make } from "./elements.js";

const FEW = 10; // chips before the rest is folded away

/**
 * @param {(songs: object[]) => void} remove is called with the songs that were removed
 */
export function historyView(remove) {
  const list = $("history");
  const chips = new Map(); // by song
  let songs = [];
  let all = false;

  function chip(song) {
    const plays = make("span.plays");
    const label = `Remove ${called(song)}`;
    const button = make(
      "button",
      { type: "button", title: label, "aria-label": label, click: () => removeAt(song) },
      make("span.title", {}, song.title),
      plays,
      make("span.cross", { "aria-hidden": "true" }, "×"),
    );
    return { node: make("li", {}, button), plays };
  }

  function removeAt(song) {
    const at = [...list.children].indexOf(chips.get(song.song).node);
    remove([song]);
    const next = list.children[Math.min(at, list.children.length - 1)];
    (next?.firstChild ?? $("query")).focus();
  }

  function draw() {
    // The newest by hand come first, then those of an export, most played first.
    const visible = all ? songs : songs.slice(0, FEW);
    glide(list, () => {
      const kept = new Set(visible.map((song) => song.song));
      for (const key of chips.keys()) if (!kept.has(key)) chips.delete(key);
      list.replaceChildren(
        ...visible.map((song) => {
          if (!chips.has(song.song)) chips.set(song.song, chip(song));
          const { node, plays } = chips.get(song.song);
          plays.textContent = song.plays > 1 ? `${song.plays}×` : "";
          return node;
        }),
      );
    });
    const folded = songs.length - FEW;
    $("history-actions").hidden = songs.length < 2;
    $("all").hidden = folded <= 0;
    $("all").textContent = all ? "Show fewer" : `Show ${count(folded, "more song", "more songs")}`;
    $("all").setAttribute("aria-expanded", String(all));
  }

  $("all").addEventListener("click", () => {
    all = !all;
    draw();
  });
  $("clear").addEventListener("click", () => {
    remove(songs);
    $("query").focus();
  });
  list.addEventListener("keydown", (event) => {
    const nodes = [...list.children];
    const at = nodes.indexOf(event.target.closest("li"));
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) nodes[at + step]?.firstChild.focus();
    else if (event.key === "Delete" || event.key === "Backspace") event.target.click();
    else return;
    event.preventDefault();
  });

  return {
    draw(now) {
      songs = now;
      draw();
    },
    /** Shows which songs speak for another: each by its share of the greatest contribution. */
    light(because) {
      const greatest = because[0]?.contribution;
      const shares = new Map(because.map((each) => [each.song, each.contribution / greatest]));
      for (const [key, { node }] of chips) {
        node.style.setProperty("--share", String(shares.get(key) ?? 0));
      }
    },
  };
}
