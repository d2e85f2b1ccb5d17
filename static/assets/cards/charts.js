// @ts-check
/** Drawing figures with Chart.js: made once, then updated in place; colours are read from CSS at every draw. */

import { compact, count, cut, percent, percentage, shorten } from "../figures/format.js";
import { cssValue, motionReduced, onThemeChange } from "./theme.js";

/** @import { Figure, Kind, Series } from "../figures/drawings.js" */
/** @typedef {{dataIndex?: number, dataset: Series, raw: number, label: string, p1DataIndex?: number}} Point */
/** @typedef {Point & {dataset: {label: string, unit?: [string, string]}}} Named */

const CALM = {
  duration: 500,
  easing: "easeOutQuart",
  // A new size that arrives in the last frame waits for a draw that never comes: the chart would keep the old one.
  onComplete: (/** @type {{chart: Chart}} */ { chart }) => chart.draw(),
};
/** Updates closer together than this are small: moving on every one would never come to rest. */
const REST_MS = 2_000;
const LONGEST_TICK = 14;
const SHORTEST_TICK = 3;
/** Pixels between a tick and its bar. */
const TICK_GAP = 12;

/** @type {Set<Chart>} */
const charts = new Set();

onThemeChange(() => {
  for (const chart of charts) {
    chart.options.animation = motionReduced() ? false : CALM;
    settle(chart);
  }
});

/**
 * Shows the newest values at once. A movement still under way has to be stopped first: it would go on to the older ones.
 * @param {Chart} chart
 */
function settle(chart) {
  chart.stop();
  chart.update("none");
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Kind} kind
 * @param {(index: number) => void} [choose] a value was clicked, or its name beside it
 * @returns {{show: (figure: Figure) => void, point: (index: number | null) => void, discard: () => void}} `show` draws, the
 *   first time and every time after; `point` is the pointer of who has none; `discard` leaves an empty canvas, for good
 */
export function makeChart(canvas, kind, choose) {
  /** @type {Figure} */
  let shown = { labels: [], ticks: [], series: [] };
  Chart.defaults.font.family = cssValue("--font");
  Chart.defaults.font.size = 12;
  const chart = new Chart(canvas, {
    type: { line: "line", columns: "bar", bars: "bar", doughnut: "doughnut" }[kind],
    data: { labels: [], datasets: [] },
    options: options(kind, tick),
  });
  charts.add(chart);
  if (choose) onClick(canvas, chart, kind, choose);
  let updatedAt = Infinity; // the first figure is drawn at once: it would move in from a canvas that had no size yet

  /** @param {number} index */
  function tick(index) {
    const { ticks, longest = LONGEST_TICK } = shown;
    const words = cut(ticks[index] ?? "", longest);
    return kind === "bars" ? fitted(chart, words, longest) : words;
  }

  /** @param {Figure} figure */
  function show(figure) {
    shown = figure;
    chart.data.labels = figure.labels;
    const before = chart.data.datasets;
    chart.data.datasets = figure.series.flatMap((series, at) => {
      const same = before.filter((dataset) => dataset.label === series.name);
      const sets = same.length ? same : datasets(kind, series.name, at === 0);
      return sets.map((set) => Object.assign(set, { data: series.values, colours: series.colours, open: figure.open, unit: figure.unit }));
    });
    if (performance.now() - updatedAt > REST_MS) chart.update();
    else settle(chart);
    updatedAt = performance.now();
  }

  /** @param {number | null} index */
  function point(index) {
    const points = index === null ? [] : [{ datasetIndex: 0, index }];
    chart.setActiveElements(points);
    chart.tooltip.setActiveElements(points, { x: 0, y: 0 });
    chart.update("none");
  }

  function discard() {
    charts.delete(chart);
    chart.destroy();
  }

  return { show, point, discard };
}

/**
 * As much of a name as has room: Chart.js leaves those beside bars half of the width, and lets the rest run off the edge.
 * @param {Chart} chart
 * @param {string} words
 * @param {number} characters of the words, at most
 */
function fitted({ ctx, width }, words, characters) {
  ctx.font = `${Chart.defaults.font.size}px ${Chart.defaults.font.family}`;
  const isWide = (/** @type {string} */ tick) => ctx.measureText(tick).width > width / 2 - TICK_GAP;
  let tick = words;
  for (let most = characters - 1; most >= SHORTEST_TICK && isWide(tick); most -= 1) tick = shorten(words, most);
  return tick;
}

/**
 * The whole row or column of a value counts, with its name: a small one is as easy to hit as a large one.
 * @param {HTMLCanvasElement} canvas
 * @param {Chart} chart
 * @param {Kind} kind
 * @param {(index: number) => void} choose
 */
function onClick(canvas, chart, kind, choose) {
  canvas.toggleAttribute("data-choose", true);
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    const index = kind === "bars" ? chart.scales.y?.getValueForPixel(offsetY) : chart.scales.x?.getValueForPixel(offsetX);
    if (index !== undefined && chart.data.labels[index] !== undefined) choose(index);
  });
}

/**
 * @param {Kind} kind
 * @param {string} name
 * @param {boolean} first of the figure's series
 */
function datasets(kind, name, first) {
  const shared = { label: name, backgroundColor: own, hoverBackgroundColor: own };
  if (kind === "doughnut") return [{ ...shared, borderWidth: 2, borderColor: () => cssValue("--surface"), hoverOffset: 4 }];
  if (kind === "line") return first ? [{ label: name, ...LINE }, { label: name, ...AREA }] : [{ label: name, ...LINE }];
  return [{ ...shared, borderRadius: 3, maxBarThickness: kind === "bars" ? 18 : 26, categoryPercentage: 0.82 }];
}

/** A set of its own, below all lines: filled together with one, the dashed stretch would leave a seam. */
const AREA = {
  order: 1,
  backgroundColor: () => cssValue("--accent-soft"),
  borderWidth: 0,
  fill: true,
  pointRadius: 0,
  pointHoverRadius: 0,
};

/** A last stretch that leads to a day that is not over is dashed. */
const LINE = {
  borderColor: own,
  borderWidth: 2,
  borderJoinStyle: "round",
  pointRadius: (/** @type {{dataIndex: number, dataset: {data: number[]}}} */ point) =>
    point.dataIndex === point.dataset.data.length - 1 ? 4 : 0,
  pointHoverRadius: 5,
  pointBackgroundColor: own,
  pointHoverBackgroundColor: own,
  pointBorderColor: () => cssValue("--surface"),
  pointHoverBorderColor: () => cssValue("--surface"),
  pointBorderWidth: 2,
  segment: {
    borderDash: (/** @type {{p1DataIndex: number, datasetIndex: number, chart: Chart}} */ { p1DataIndex, datasetIndex, chart }) =>
      chart.data.datasets[datasetIndex]?.open && p1DataIndex === chart.data.labels.length - 1 ? [4, 4] : undefined,
  },
};

/** @param {{dataIndex?: number, dataset: {colours?: string[]}}} point */
function own(point) {
  const colours = point.dataset.colours ?? [];
  return cssValue(colours[point.dataIndex ?? 0] ?? colours[0] ?? "--series-rest");
}

/** A ring grows where it is pointed at; a tick near the end of a line would be cut. */
const PADDING = { doughnut: 6, line: { right: 12 }, columns: 0, bars: 0 };

/**
 * @param {Kind} kind
 * @param {(index: number) => string} tick
 */
function options(kind, tick) {
  const across = kind === "bars";
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: motionReduced() ? false : CALM,
    transitions: { attach: { animation: { duration: 0 } } }, // a panel that comes into view is there, and does not unroll
    indexAxis: across ? "y" : "x",
    interaction: kind === "doughnut" ? { mode: "nearest" } : { mode: "index", intersect: false, axis: across ? "y" : "x" },
    layout: { padding: PADDING[kind] },
    cutout: "72%",
    scales: kind === "doughnut" ? {} : { [across ? "y" : "x"]: nameAxis(kind, tick), [across ? "x" : "y"]: valueAxis(kind) },
    plugins: { legend: { display: false }, tooltip: tooltip(kind) },
  };
}

/**
 * @param {Kind} kind
 * @param {(index: number) => string} tick
 */
function nameAxis(kind, tick) {
  return {
    stacked: kind !== "line",
    border: { color: () => cssValue("--line") },
    grid: { display: false },
    ticks: {
      autoSkip: false,
      maxRotation: 0,
      color: () => cssValue("--muted"),
      callback: (/** @type {unknown} */ _, /** @type {number} */ index) => tick(index),
    },
  };
}

/** @param {Kind} kind */
function valueAxis(kind) {
  return {
    stacked: kind !== "line",
    beginAtZero: true,
    border: { display: false },
    grid: { color: () => cssValue("--grid"), drawTicks: false },
    ticks: { color: () => cssValue("--muted"), precision: 0, maxTicksLimit: 6, padding: 8, callback: compact },
  };
}

/** @param {Kind} kind */
function tooltip(kind) {
  const ink = () => cssValue("--tooltip-text");
  const whole = (/** @type {Point} */ { dataset }) =>
    /** @type {{data: number[]}} */ (/** @type {unknown} */ (dataset)).data.reduce((sum, value) => sum + value, 0);
  return {
    backgroundColor: () => cssValue("--tooltip"),
    titleColor: ink,
    bodyColor: ink,
    footerColor: ink,
    padding: 10,
    cornerRadius: 6,
    boxWidth: 10,
    boxHeight: 10,
    boxPadding: 4,
    multiKeyBackground: "transparent",
    displayColors: (/** @type {{chart: Chart}} */ { chart }) => kind !== "line" || new Set(chart.data.datasets.map(({ label }) => label)).size > 1,
    filter: (/** @type {{dataset: {fill?: boolean}}} */ point) => !point.dataset.fill,
    callbacks: {
      labelColor: (/** @type {Parameters<typeof own>[0]} */ point) => ({
        backgroundColor: own(point),
        borderColor: "transparent",
      }),
      label: (/** @type {Named} */ point) =>
        kind === "doughnut"
          ? ` ${count(point.raw)} (${percent(percentage(point.raw, whole(point)))})`
          : said(point),
    },
  };
}

/** @param {Named} point */
function said({ dataset, raw }) {
  if (!dataset.unit) return ` ${dataset.label}: ${count(raw)}`;
  const [one, several] = dataset.unit;
  return ` ${count(raw)} ${raw === 1 ? one : several}`;
}
