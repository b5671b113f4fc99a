/**
 * The search box: the ARIA pattern of an editable combobox with a list.
 * https://www.w3.org/WAI/ARIA/apg/patterns/combobox/
 */

import { called, count, make, say } from "./elements.js";
import { ask, isAborted } from "./service.js";

const PAUSE = 90; // milliseconds without a key before the service is asked
const MOST = 7; // songs to choose from

/**
 * @param {HTMLInputElement} input
 * @param {HTMLElement} list
 * @param {HTMLElement} nothing says that nothing was found, or why
 * @param {(song: object) => void} choose
 */
export function search(input, list, nothing, choose) {
  let songs = [];
  let active = -1;
  let shown = ""; // the query that `songs` answer
  let timer = 0;
  let running = new AbortController();
  let chooseFirst = false; // Enter was pressed before the answer came

  const query = () => input.value.trim();

  function close() {
    clearTimeout(timer);
    running.abort();
    [songs, shown, chooseFirst] = [[], "", false];
    draw();
    nothing.textContent = "";
  }

  function draw() {
    active = songs.length ? 0 : -1;
    list.replaceChildren(...songs.map(option));
    list.hidden = songs.length === 0;
    input.setAttribute("aria-expanded", String(songs.length > 0));
    mark();
  }

  function option(song, i) {
    return make(
      "li",
      { role: "option", id: `found-${i}`, click: () => take(song), pointermove: () => mark(i) },
      make("span.title", {}, ...highlighted(song.title, shown)),
      make("span.artist", {}, ...highlighted(song.artist, shown)),
      make("span.quiet", {}, count(song.listeners, "listener")),
    );
  }

  function mark(i = active) {
    active = i;
    [...list.children].forEach((node, at) => node.setAttribute("aria-selected", at === i));
    const node = list.children[i];
    if (node) {
      input.setAttribute("aria-activedescendant", node.id);
      node.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function take(song) {
    input.value = "";
    close();
    choose(song);
  }

  async function look() {
    clearTimeout(timer);
    running.abort();
    running = new AbortController();
    const wanted = query();
    if (!wanted) return close();
    try {
      const path = `search?limit=${MOST}&q=${encodeURIComponent(wanted)}`;
      ({ songs } = await ask(path, undefined, running.signal));
    } catch (error) {
      if (isAborted(error)) return;
      songs = [];
      nothing.textContent = error.message;
      return draw();
    }
    shown = wanted;
    if (chooseFirst && songs.length) return take(songs[0]);
    chooseFirst = false;
    draw();
    nothing.textContent = songs.length ? "" : `No song or artist has “${wanted}” in its name.`;
    if (songs.length) say(`${count(songs.length, "song")} found, ${called(songs[0])} first`);
  }

  input.addEventListener("input", () => {
    chooseFirst = false;
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  });
  input.addEventListener("blur", close);
  input.addEventListener("focus", () => query() && look());
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && songs.length) mark((active + step + songs.length) % songs.length);
    else if (step === 1 && query()) look();
    else if (event.key === "Enter" && query()) {
      if (shown === query() && songs.length) take(songs[active]);
      else {
        chooseFirst = true;
        look();
      }
    } else if (event.key === "Escape") {
      if (list.hidden) input.value = "";
      close();
    } else return;
    event.preventDefault();
  });
}

/** A name with the words of the query marked in it. */
function highlighted(text, query) {
  const words = query.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const parts = text.split(new RegExp(`(${words.join("|")})`, "iu"));
  return parts.map((part, i) => (i % 2 ? make("mark", {}, part) : part));
}
