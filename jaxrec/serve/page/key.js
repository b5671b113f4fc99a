/** Asks the person for the service's key. */

import { $ } from "./elements.js";

/**
 * @param {boolean} refused whether the service has refused one
 * @returns {Promise<string | null>} null where the person would rather not
 */
export function askForKey(refused) {
  const dialog = $("key");
  $("key-wrong").textContent = refused ? "That key isn't accepted." : "";
  $("key-value").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), { once: true });
  });
}

$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  $("key").close($("key-value").value);
});
$("key-cancel").addEventListener("click", () => $("key").close(""));
