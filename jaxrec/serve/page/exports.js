/**
 * Exports of Spotify and Last.fm, read here: of what they hold only title, artist, id, plays and
 * times are looked at, never addresses or devices.
 */

const SHORTEST = 30_000; // milliseconds that count as a play, where the export says how long
const LARGEST = 256 * 2 ** 20; // bytes of a file
const ZIP = "a zip; unpack it and drop the files in it";
const LONGEST = 1_000; // characters of a name that the service takes

/** What the programs that export from Last.fm call a column. */
const CSV_NAMES = {
  artist: ["artist", "artist_name", "artist name"],
  title: ["track", "title", "name", "track_name", "song", "track name"],
  id: ["track_mbid", "mbid"],
};
const HEADERLESS = { artist: 0, title: 2, id: -1 }; // artist, album, title, date

/**
 * Reads what was dropped.
 * @param {File[]} files JSON or CSV
 * @returns {Promise<{songs: object[], plays: number, short: number, left: string[]}>} songs as
 *   {artist, title, id, plays}, most played first; how many plays count, how many were too short
 *   to, and which files were left out and why
 */
export async function readExports(files) {
  const songs = new Map();
  const told = { plays: 0, short: 0, left: [] };
  for (const file of files) {
    let plays;
    try {
      plays = playsOf(await textOf(file));
    } catch (error) {
      told.left.push(`${file.name}: ${error.message}`);
      continue;
    }
    if (!plays.length) told.left.push(`${file.name}: no plays of songs in it`);
    for (const { artist, title, id, played } of plays) {
      if (played < SHORTEST) {
        told.short++;
        continue;
      }
      told.plays++;
      const key = id || JSON.stringify([artist, title]);
      const song = songs.get(key) ?? { artist, title, id, plays: 0 };
      song.plays++;
      songs.set(key, song);
    }
  }
  told.songs = [...songs.values()].sort((a, b) => b.plays - a.plays);
  return told;
}

async function textOf(file) {
  if (file.size > LARGEST) throw new Error("larger than 256 MB");
  const text = await file.text();
  if (text.startsWith("PK\u0003\u0004")) throw new Error(ZIP);
  return text;
}

/** The plays of one file as [{artist, title, id, played}], played in ms where known. */
export function playsOf(whole) {
  const text = whole.replace(/^\uFEFF/, "");
  if (!/^\s*[[{]/.test(text)) return ofCsv(text);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("damaged, or not JSON throughout");
  }
  return [value].flat().map(ofJson).filter((play) => play?.title);
}

function ofJson(row) {
  if (row === null || typeof row !== "object") return null;
  if ("master_metadata_track_name" in row) {
    return play(
      row.master_metadata_album_artist_name,
      row.master_metadata_track_name,
      row.spotify_track_uri,
      row.ms_played,
    );
  }
  if ("trackName" in row) return play(row.artistName, row.trackName, "", row.msPlayed);
  return null;
}

function play(artist, title, id, played) {
  const text = (value) => (typeof value === "string" ? value.trim().slice(0, LONGEST) : "");
  return { artist: text(artist), title: text(title), id: text(id), played };
}

function ofCsv(text) {
  const head = text.slice(0, 4096).split(/\r?\n/, 1)[0];
  for (const delimiter of [",", ";", "\t"]) {
    const names = csvRows(head, delimiter)[0]?.map((name) => name.trim().toLowerCase()) ?? [];
    const [artist, title, id] = ["artist", "title", "id"].map((role) =>
      names.findIndex((name) => CSV_NAMES[role].includes(name)),
    );
    if (artist >= 0 && title >= 0) {
      return ofRows(csvRows(text, delimiter).slice(1), { artist, title, id });
    }
  }
  const rows = csvRows(text, ",");
  const date = /^(\d{1,2} \w{3,9} \d{4},? \d\d:\d\d(:\d\d)?|\d{4}-\d\d-\d\d.*)?$/;
  if (rows[0]?.length === 4 && date.test(rows[0][3])) return ofRows(rows, HEADERLESS);
  throw new Error("no export of Spotify or Last.fm that this page knows");
}

function ofRows(rows, at) {
  return rows.map((row) => play(row[at.artist], row[at.title], row[at.id])).filter((p) => p.title);
}

/** The fields of each row (RFC 4180): in quotes may be the delimiter, line ends and doubled quotes. */
function csvRows(text, delimiter) {
  const quoted = `"([^"]*(?:""[^"]*)*)"`;
  const plain = `([^"${delimiter}\\r\\n][^${delimiter}\\r\\n]*)?`;
  const field = new RegExp(`(?:${quoted}|${plain})(${delimiter}|\\r?\\n|\\r|$)`, "y");
  const rows = [];
  let row = [];
  while (field.lastIndex < text.length) {
    const match = field.exec(text);
    if (!match) throw new Error(`damaged in row ${rows.length + 1}: its quotes don't match`);
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === delimiter) continue;
    if (row.length > 1 || row[0]) rows.push(row);
    row = [];
  }
  if (row.length) rows.push([...row, ""]); // the text ends with a delimiter
  return rows;
}
