/** Work that is repeated: never faster than the pace, and never twice at the same time. */

/**
 * @param {number} pace milliseconds @param {() => Promise<void>} work
 * @returns {{soon: () => void, now: () => void}} `soon` keeps the pace, `now` only waits for work that is under way
 */
export function atPace(pace, work) {
  let startedAt = -pace;
  let underWay = Promise.resolve();
  let timer = 0;

  /** @param {number} wait from the start of the work before */
  function plan(wait) {
    window.clearTimeout(timer);
    timer = window.setTimeout(start, Math.max(0, startedAt + wait - performance.now()));
  }

  async function start() {
    await underWay;
    if (!timer) return; // asked for more than once while work was under way: the first has started
    window.clearTimeout(timer);
    timer = 0;
    startedAt = performance.now();
    underWay = work();
  }

  return { soon: () => timer || plan(pace), now: () => plan(0) };
}
