/** Tells screen readers what changed, at a pace that can be followed. */

import { atPace } from "../wire/pace.js";
import { setText } from "./element.js";

const PACE_MS = 15_000;

/**
 * @param {HTMLElement} where a polite live region
 * @returns {{say: (sentence: string) => void, clear: () => void}} only the newest sentence is
 *   said when it is time; `clear` takes back what was said and what is waiting
 */
export function makeAnnouncer(where) {
  let next = "";
  const speech = atPace(PACE_MS, async () => setText(where, next));
  return {
    say(sentence) {
      next = sentence;
      if (next !== where.textContent) speech.soon();
    },
    clear() {
      next = "";
      where.textContent = "";
    },
  };
}
