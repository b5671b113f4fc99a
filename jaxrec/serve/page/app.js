/** What to play next: gathers a history, asks the service, shows its list. */

import { $, called, count, make, say } from "./elements.js";
import { historyView } from "./history.js";
import { importFiles, offerExample } from "./importing.js";
import { search } from "./search.js";
import { ask, isAborted, isAway } from "./service.js";
import { songsView } from "./songs.js";

const PAGE = 20; // songs more at a time
const MOST = 500; // songs that the service lists at most
const LONGEST = 5_000; // songs of a history: what one request to the service holds
const AGAIN = 3_000; // milliseconds until a service that was away is asked again
const SLOW = 400; // milliseconds after which the old list looks old

/** The history, by song: what was added by hand, the newest first, then what an export had. */
let listened = new Map(JSON.parse(sessionStorage.getItem("history") ?? "[]"));
let wanted = PAGE;
let asking = new AbortController();
let retry = 0;
let slow = 0;

const history = () => [...listened.values()].map(({ song, plays }) => ({ song, plays }));
const chips = historyView(remove);
const show = songsView($("songs"), {
  add,
  has: ({ song }) => listened.has(song),
  history,
  light: chips.light,
  mixed: () => $("known").checked,
});

function add({ song, title, artist }) {
  const plays = (listened.get(song)?.plays ?? 0) + 1;
  listened.delete(song);
  change([{ song, title, artist, plays }, ...listened.values()]);
  say(`Added ${called({ title, artist })}`);
}

const addAll = (songs) => change([...listened.values(), ...songs]);

function remove(songs) {
  const gone = new Set(songs.map(({ song }) => song));
  change([...listened.values()].filter(({ song }) => !gone.has(song)));
  if (!listened.size) $("report").replaceChildren();
  say(songs.length === 1 ? `Removed ${called(songs[0])}` : "Removed all songs");
}

/** Takes a new history; returns how many songs were too many for it. */
function change(songs) {
  const all = [...new Map(songs.map((song) => [song.song, song]))];
  listened = new Map(all.slice(0, LONGEST));
  sessionStorage.setItem("history", JSON.stringify([...listened]));
  wanted = PAGE;
  draw();
  return all.length - listened.size;
}

function draw() {
  document.body.classList.toggle("started", listened.size > 0);
  chips.draw([...listened.values()]);
  recommend();
}

/** Asks for the list and shows it; the old one stays until then. */
async function recommend() {
  clearTimeout(retry);
  clearTimeout(slow);
  asking.abort();
  asking = new AbortController();
  if (listened.size === 0) return settle([]);
  slow = setTimeout(() => $("songs").setAttribute("aria-busy", "true"), SLOW);
  const body = { history: history(), k: wanted, reasons: 3, include_listened: $("known").checked };
  try {
    const { songs, unknown } = await ask("recommend", body, asking.signal);
    settle(
      songs,
      unknown.length > 0 && `The model no longer knows ${count(unknown.length, "song")} of yours.`,
      songs.length === 0 && "Nothing is left to recommend.",
    );
    if (songs.length) say(`${count(songs.length, "song")} to play next, ${called(songs[0])} first`);
  } catch (error) {
    if (!isAborted(error)) failed(error);
  }
}

function settle(songs, ...notices) {
  clearTimeout(slow);
  show(songs);
  notice(...notices);
  $("songs").removeAttribute("aria-busy");
  $("more").hidden = songs.length < wanted || wanted >= MOST;
}

function failed(error) {
  if (error.status === 404) return settle([], error.message);
  const again = make("button.main", { type: "button", click: recommend }, "Try again");
  if (!isAway(error)) return notice(error.message, again);
  retry = setTimeout(recommend, AGAIN);
  notice(`${error.message} Your songs are kept; it is asked again every few seconds.`, again);
}

/** Shows a message above the list; without any, none. */
function notice(...parts) {
  const shown = parts.filter(Boolean).map((p) => (p instanceof Node ? p : make("p", {}, p)));
  const text = shown.map((node) => node.textContent).join("");
  if (text === $("notice").textContent) return; // a button in it keeps the focus
  if ($("notice").contains(document.activeElement)) $("next").focus();
  $("notice").replaceChildren(...shown);
}

search($("query"), $("found"), $("nothing"), add);
$("known").addEventListener("change", recommend);
$("more").addEventListener("click", () => {
  wanted = Math.min(wanted + PAGE, MOST);
  recommend();
});
$("file").addEventListener("change", () => {
  importFiles([...$("file").files], addAll);
  $("file").value = "";
});
for (const type of ["dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    $("drop").classList.toggle("over", type === "dragover");
    if (type === "drop") importFiles([...event.dataTransfer.files], addAll);
  });
}

draw();
offerExample(addAll).catch(() => {}); // the page does without
ask("model")
  .then(({ method, songs, listeners }) => {
    const knows = `${count(songs, "song")} from ${count(listeners, "listener")}`;
    $("model").textContent += ` The model (${method}) knows ${knows}.`;
  })
  .catch(() => {});
