/** Tells screen readers what changed, at a pace that can be followed. */

const PACE_MS = 15_000;

/**
 * @param {HTMLElement} where a polite live region
 * @returns {{say: (sentence: string) => void, clear: () => void}} only the newest sentence is
 *   said when it is time; `clear` takes back what was said and what is waiting
 */
export function makeAnnouncer(where) {
  let next = "";
  let spokenAt = -PACE_MS;
  let waiting = false;

  function speak() {
    waiting = false;
    if (next === where.textContent) return;
    where.textContent = next;
    spokenAt = performance.now();
  }

  return {
    say(sentence) {
      next = sentence;
      if (waiting || next === where.textContent) return;
      waiting = true;
      window.setTimeout(speak, Math.max(0, spokenAt + PACE_MS - performance.now()));
    },
    clear() {
      next = "";
      where.textContent = "";
    },
  };
}
