/** What the page uses of the vendored Chart.js, which puts itself on the window. */
declare class Chart {
  constructor(canvas: HTMLCanvasElement, config: object);
  data: { labels: string[]; datasets: Record<string, unknown>[] };
  options: Record<string, unknown>;
  ctx: CanvasRenderingContext2D;
  width: number;
  update(mode?: "none"): void;
  scales: Record<string, { getValueForPixel(pixel: number): number | undefined }>;
  tooltip: { setActiveElements(points: { datasetIndex: number; index: number }[], where: { x: number; y: number }): void };
  setActiveElements(points: { datasetIndex: number; index: number }[]): void;
  draw(): void;
  stop(): void;
  destroy(): void;
  static instances: Record<string, Chart>;
  static getChart(canvas: HTMLCanvasElement): Chart | undefined;
  static defaults: { font: { family: string; size: number } };
}
