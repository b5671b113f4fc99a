/** Small helpers for what is on the page. */

export const $ = (id) => document.getElementById(id);

/**
 * Makes an element. Text goes in as text, never as HTML.
 * @param {string} tag with classes after dots, such as "span.title"
 * @param {object} attributes; a function is a listener, false and null leave an attribute out
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  node.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

/** Tells those who can't see the page what has changed. */
export function say(text) {
  $("said").textContent = text;
}

export const called = ({ title, artist }) => (artist ? `${title} by ${artist}` : title);

/** A title with its artist below. */
export const named = ({ title, artist }) =>
  make("span.name", {}, make("span.title", {}, title), make("span.artist", {}, artist ?? ""));

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Changes a list's children; those that stay glide to their new place, new ones fade in. */
export function glide(list, change) {
  const before = new Map([...list.children].map((node) => [node, node.getBoundingClientRect()]));
  const focused = document.activeElement;
  change();
  if (list.contains(focused) && document.activeElement !== focused) {
    focused.focus({ preventScroll: true });
  }
  if (calm.matches) return;
  const after = [...list.children].map((node) => [node, node.getBoundingClientRect()]);
  for (const [node, now] of after) {
    const was = before.get(node);
    const from = was
      ? { transform: `translate(${was.left - now.left}px, ${was.top - now.top}px)` }
      : { opacity: 0, transform: "translateY(0.5rem)" };
    if (was && was.left === now.left && was.top === now.top) continue;
    node.animate([from, { opacity: 1, transform: "none" }], {
      duration: was ? 380 : 260,
      easing: "cubic-bezier(0.2, 0.7, 0.2, 1)",
    });
  }
}
