/** Takes songs from an export into the history, and tells what became of it. */

import { $, called, count, make } from "./elements.js";
import { readExports } from "./exports.js";
import { ask } from "./service.js";

const ROWS = 2_000; // of an export in one call: well below the service's limits
const TOLD = 500; // titles that match nothing, by name

/**
 * @param {File[]} files
 * @param {(songs: object[]) => number} add takes the songs that the service knows, with their
 *   plays; returns how many were too many
 */
export async function importFiles(files, add) {
  if (!files.length) return;
  report("Reading …");
  try {
    const told = await readExports(files);
    const { known, unmatched } = await match(told.songs);
    const tooMany = known.size && add([...known.values()]);
    report(...summary(told, unmatched, tooMany));
  } catch (error) {
    report(error.message);
  }
}

/** The invented export, offered where the model knows its songs. */
export async function offerExample(add) {
  const blob = await (await fetch("page/example.json")).blob();
  const files = [new File([blob], "example.json")];
  const { known } = await match((await readExports(files)).songs);
  $("example").hidden = known.size === 0;
  $("example").querySelector("button").addEventListener("click", () => importFiles(files, add));
}

async function match(songs) {
  const known = new Map(); // titles that differ by case or blanks alone are one song
  const unmatched = [];
  for (let start = 0; start < songs.length; start += ROWS) {
    const some = songs.slice(start, start + ROWS);
    const rows = some.map(({ artist, title, id }) => ({ artist, title, ...(id && { id }) }));
    const answer = await ask("match", { rows });
    for (const { row, song, title, artist } of answer.matches) {
      const plays = (known.get(song)?.plays ?? 0) + some[row].plays;
      known.set(song, { song, title, artist, plays });
    }
    unmatched.push(...answer.unmatched.map((row) => some[row]));
  }
  return { known, unmatched };
}

function summary({ songs, plays, short, left }, unmatched, tooMany) {
  const lines = [...left];
  if (tooMany) lines.unshift(`${count(tooMany, "song")} too many: the least played left out.`);
  if (short) lines.unshift(`${count(short, "play")} under 30 seconds left out.`);
  if (songs.length) {
    const known = (songs.length - unmatched.length).toLocaleString("en");
    const all = `${count(songs.length, "song")} in ${count(plays, "play")}`;
    lines.unshift(`${all}: the model knows ${known} of them.`);
  }
  const parts = lines.map((line) => make("p", {}, line));
  if (unmatched.length) {
    const title = make("summary", {}, `${count(unmatched.length, "title")} matched nothing`);
    const names = unmatched.slice(0, TOLD).map((song) => make("li", {}, called(song)));
    const more = unmatched.length - names.length;
    if (more) names.push(make("li", {}, `and ${count(more, "more", "more")}`));
    parts.push(make("details", {}, title, make("ul", {}, ...names)));
  }
  return parts;
}

function report(...parts) {
  $("report").replaceChildren(...parts);
}
