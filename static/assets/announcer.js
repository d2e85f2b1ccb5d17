// @ts-check
/** Tells a screen reader what changed, at a pace one can listen to. */

const PACE_MS = 15_000;

/**
 * @param {HTMLElement} where a polite live region
 * @returns {(sentence: string) => void} the newest sentence is said when it is time, older ones are skipped
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

  return (sentence) => {
    next = sentence;
    if (waiting || next === where.textContent) return;
    waiting = true;
    window.setTimeout(speak, Math.max(0, spokenAt + PACE_MS - performance.now()));
  };
}
