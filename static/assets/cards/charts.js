/** Draws figures with Chart.js. A chart is updated in place, and reads its colours from CSS whenever it draws. */

import { compact, count, cut, percent, percentage, shorten } from "../figures/format.js";
import { cssValue, motionReduced, onThemeChange } from "./theme.js";

/** @import { Figure, Kind } from "../figures/drawings.js" */
/** @typedef {{raw: number, dataset: {data: number[], label: string, unit?: [string, string]}}} Point */

const CALM = {
  duration: 500,
  easing: "easeOutQuart",
  // A resize in the last frame would otherwise wait for a next frame that never comes. Without steps nothing was animated.
  onComplete: (/** @type {{chart: Chart, numSteps?: number}} */ { chart, numSteps }) => numSteps && chart.draw(),
};
/** More frequent updates are not animated: the chart would never rest. */
const REST_MS = 2_000;
const LONGEST_TICK = 14;
const SHORTEST_TICK = 3;
/** Pixels between a tick and its bar. */
const TICK_GAP = 12;

onThemeChange(() => {
  for (const chart of Object.values(Chart.instances)) {
    chart.options.animation = motionReduced() ? false : CALM;
    settle(chart);
  }
});

/** Removes the charts of these numbers, and empties their canvases for good. @param {HTMLElement} numbers */
export function removeCharts(numbers) {
  for (const canvas of numbers.querySelectorAll("canvas")) Chart.getChart(canvas)?.destroy();
}

/** Shows the newest values at once. An animation under way is stopped: it would go on to the older ones. @param {Chart} chart */
function settle(chart) {
  chart.stop();
  chart.update("none");
}

/**
 * @param {HTMLCanvasElement} canvas @param {Kind} kind
 * @param {(index: number) => void} [choose] is called when a value, or its name beside it, is clicked
 * @returns {{show: (figure: Figure) => void, point: (index: number | null) => void}} `point` highlights a value as the
 *   pointer would
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
  if (choose) onClick(canvas, chart, kind, choose);
  let updatedAt = Infinity; // the first figure is not animated: the canvas has had no size before

  /** @param {number} index */
  function tick(index) {
    const { ticks, longest = LONGEST_TICK } = shown;
    const words = cut(ticks[index] ?? "", longest);
    return kind === "bars" ? fitted(chart, words, longest) : words;
  }

  /** @param {Figure} figure */
  function show(figure) {
    shown = figure;
    Object.assign(chart.data, dataOf(chart, kind, figure));
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

  return { show, point };
}

/**
 * Cuts a name so that it fits: Chart.js gives names beside bars half of the width, and lets the rest run off the edge.
 * @param {Chart} chart @param {string} words @param {number} characters the most there may be
 */
function fitted({ ctx, width }, words, characters) {
  ctx.font = `${Chart.defaults.font.size}px ${Chart.defaults.font.family}`;
  const isWide = (/** @type {string} */ tick) => ctx.measureText(tick).width > width / 2 - TICK_GAP;
  let tick = words;
  for (let most = characters - 1; most >= SHORTEST_TICK && isWide(tick); most -= 1) tick = shorten(words, most);
  return tick;
}

/**
 * A click anywhere in the row or column of a value counts, so that small ones are as easy to hit as large ones.
 * @param {HTMLCanvasElement} canvas @param {Chart} chart @param {Kind} kind @param {(index: number) => void} choose
 */
function onClick(canvas, chart, kind, choose) {
  canvas.toggleAttribute("data-choose", true);
  canvas.addEventListener("click", ({ offsetX, offsetY }) => {
    const index = kind === "bars" ? chart.scales.y?.getValueForPixel(offsetY) : chart.scales.x?.getValueForPixel(offsetX);
    if (index !== undefined && chart.data.labels[index] !== undefined) choose(index);
  });
}

/**
 * Keeps the data sets of series that are there already: Chart.js animates from their old values to the new ones.
 * @param {Chart} chart @param {Kind} kind @param {Figure} figure
 */
function dataOf(chart, kind, { labels, series, open, unit }) {
  const sets = series.flatMap(({ name, values, colours }, at) => {
    const same = chart.data.datasets.filter(({ label }) => label === name);
    return (same.length ? same : datasets(kind, name, at === 0)).map((set) => Object.assign(set, { data: values, colours, open, unit }));
  });
  return { labels, datasets: sets };
}

/** @param {Kind} kind @param {string} name @param {boolean} first of the figure's series */
function datasets(kind, name, first) {
  const shared = { label: name, backgroundColor: colourOf, hoverBackgroundColor: colourOf };
  if (kind === "doughnut") return [{ ...shared, borderWidth: 2, borderColor: () => cssValue("--surface"), hoverOffset: 4 }];
  if (kind === "line") return first ? [{ label: name, ...LINE }, { label: name, ...AREA }] : [{ label: name, ...LINE }];
  return [{ ...shared, borderRadius: 3, maxBarThickness: kind === "bars" ? 18 : 26, categoryPercentage: 0.82 }];
}

/** A data set of its own, below the lines: as part of one, the dashed segment would leave a seam. */
const AREA = {
  order: 1,
  backgroundColor: () => cssValue("--accent-soft"),
  borderWidth: 0,
  fill: true,
  pointRadius: 0,
  pointHoverRadius: 0,
};

/** The last segment is dashed if its day goes on. */
const LINE = {
  borderColor: colourOf,
  borderWidth: 2,
  borderJoinStyle: "round",
  pointRadius: (/** @type {{dataIndex: number, dataset: {data: number[]}}} */ point) =>
    point.dataIndex === point.dataset.data.length - 1 ? 4 : 0,
  pointHoverRadius: 5,
  pointBackgroundColor: colourOf,
  pointHoverBackgroundColor: colourOf,
  pointBorderColor: () => cssValue("--surface"),
  pointHoverBorderColor: () => cssValue("--surface"),
  pointBorderWidth: 2,
  segment: {
    borderDash: (/** @type {{p1DataIndex: number, datasetIndex: number, chart: Chart}} */ { p1DataIndex, datasetIndex, chart }) =>
      chart.data.datasets[datasetIndex]?.open && p1DataIndex === chart.data.labels.length - 1 ? [4, 4] : undefined,
  },
};

/** @param {{dataIndex?: number, dataset: {colours?: string[]}}} point */
function colourOf(point) {
  const colours = point.dataset.colours ?? [];
  return cssValue(colours[point.dataIndex ?? 0] ?? colours[0] ?? "--series-rest");
}

/** Room for a ring's segment to grow under the pointer, and for the last tick of a line. */
const PADDING = { doughnut: 6, line: { right: 12 }, columns: 0, bars: 0 };

/** Plugins that we do not need. Those that are only not displayed, such as the legend, still take part in every update. */
const UNUSED = { legend: false, title: false, subtitle: false, colors: false, decimation: false };

/** @param {Kind} kind @param {(index: number) => string} tick */
function options(kind, tick) {
  const across = kind === "bars";
  return {
    maintainAspectRatio: false,
    animation: motionReduced() ? false : CALM,
    transitions: { attach: { animation: { duration: 0 } } }, // a panel that comes into view does not unroll
    indexAxis: across ? "y" : "x",
    interaction: kind === "doughnut" ? { mode: "nearest" } : { mode: "index", intersect: false, axis: across ? "y" : "x" },
    layout: { padding: PADDING[kind] },
    cutout: "72%",
    scales: kind === "doughnut" ? {} : { [across ? "y" : "x"]: nameAxis(kind, tick), [across ? "x" : "y"]: valueAxis(kind) },
    plugins: { ...UNUSED, tooltip: tooltip(kind) },
  };
}

/** @param {Kind} kind @param {(index: number) => string} tick */
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
  return {
    backgroundColor: () => cssValue("--tooltip"),
    titleColor: ink,
    bodyColor: ink,
    padding: 10,
    boxWidth: 10,
    boxHeight: 10,
    boxPadding: 4,
    multiKeyBackground: "transparent",
    displayColors: (/** @type {{chart: Chart}} */ { chart }) => kind !== "line" || new Set(chart.data.datasets.map(({ label }) => label)).size > 1,
    filter: (/** @type {{dataset: {fill?: boolean}}} */ point) => !point.dataset.fill,
    callbacks: {
      labelColor: (/** @type {Parameters<typeof colourOf>[0]} */ point) => ({
        backgroundColor: colourOf(point),
        borderColor: "transparent",
      }),
      label: kind === "doughnut" ? shareLabel : label,
    },
  };
}

/** @param {Point} point */
function shareLabel({ dataset, raw }) {
  const whole = dataset.data.reduce((sum, value) => sum + value, 0);
  return ` ${count(raw)} (${percent(percentage(raw, whole))})`;
}

/** @param {Point} point */
function label({ dataset, raw }) {
  if (!dataset.unit) return ` ${dataset.label}: ${count(raw)}`;
  const [singular, plural] = dataset.unit;
  return ` ${count(raw)} ${raw === 1 ? singular : plural}`;
}
