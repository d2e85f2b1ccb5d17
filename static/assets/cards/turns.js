/** The charts of a panel take turns: what does not fit into a frame is drawn in the next ones, so no frame takes long. */

/** What drawing may take of a frame; the chart that exceeds it is the last. */
const SHARE_MS = 4;

/** @typedef {ReturnType<typeof makeTurns>} Turns */

export function makeTurns() {
  /** @type {Map<HTMLCanvasElement, () => void>} */
  const waiting = new Map();
  let nextFrame = 0;

  function drawSome() {
    nextFrame = 0;
    const startedAt = performance.now();
    for (const [canvas, draw] of waiting) {
      if (performance.now() - startedAt > SHARE_MS) break;
      waiting.delete(canvas);
      draw();
    }
    if (waiting.size) nextFrame = requestAnimationFrame(drawSome);
  }

  return {
    /** @param {HTMLCanvasElement} canvas @param {() => void} draw replaces a drawing of the same canvas that still waits */
    add(canvas, draw) {
      waiting.set(canvas, draw);
      nextFrame ||= requestAnimationFrame(drawSome);
    },
    clear: () => waiting.clear(),
  };
}
