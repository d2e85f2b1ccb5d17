/** What the page uses of the vendored Chart.js, which puts itself on the window. */
declare class Chart {
  constructor(canvas: HTMLCanvasElement, config: object);
  data: { labels: string[]; datasets: Record<string, unknown>[] };
  options: Record<string, unknown>;
  update(mode?: "none"): void;
  draw(): void;
  stop(): void;
  static defaults: { font: { family: string; size: number } };
}
