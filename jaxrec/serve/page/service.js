/** Calls of the service that this page comes from. */

import { askForKey } from "./key.js";

export class ServiceError extends Error {
  /** @param {number} status of HTTP; 0 where nothing answered */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const AWAY = [0, 502, 503, 504];
export const isAway = (error) => AWAY.includes(error.status);
const BUSY = 429;
const KEY = 401;

let asked = null;

async function newKey() {
  // Several calls may be refused at once: the person is asked once.
  asked ??= askForKey(sessionStorage.getItem("key") !== null).finally(() => (asked = null));
  const key = await asked;
  if (key === null) return false;
  sessionStorage.setItem("key", key);
  return true;
}

/**
 * Asks the service.
 * @param {string} path such as "recommend"; relative, so that the page works below a prefix too
 * @param {object} [body] makes it a POST
 * @param {AbortSignal} [signal]
 * @returns {Promise<object>} the answer
 * @throws {ServiceError} it answered with an error, or not at all; an AbortError where aborted
 */
export async function ask(path, body, signal) {
  for (let attempt = 0; ; attempt++) {
    const key = sessionStorage.getItem("key");
    const response = await send(path, body, key, signal);
    if (response.ok) return response.json();
    const error = await errorOf(response);
    if (error.status === KEY) {
      // Meanwhile another call may have got one.
      if (key !== sessionStorage.getItem("key") || (await newKey())) continue;
    } else if (error.status === BUSY && attempt < 3) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 10)));
      continue;
    }
    throw error;
  }
}

async function send(path, body, key, signal) {
  const headers = key === null ? {} : { Authorization: `Bearer ${key}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      body: body === undefined ? undefined : JSON.stringify(body),
      headers,
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service doesn't answer.", 0);
  }
}

async function errorOf(response) {
  let message = `The service answered with ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // Whatever stands before the service may answer with a page.
  }
  return new ServiceError(message, response.status);
}

/** Whether the error only says that a newer question has taken this one's place. */
export const isAborted = (error) => error.name === "AbortError";
