/**
 * Charts as inline SVG, drawn by ECharts without a DOM. Colours are CSS variables, so that one drawing works in light,
 * dark and print. Every chart has a title for screen readers; its numbers stand in a table beside it.
 */
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, MarkAreaComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { LayerResult, ValueHistogram } from "../result.ts";
import { printable, shorten } from "./format.ts";
import { escapeHtml, type Html, trusted } from "./html.ts";

use([BarChart, LineChart, GridComponent, MarkAreaComponent, SVGRenderer]);

const INK = "var(--ink)";
const SOFT = "var(--soft)";
const LINE = "var(--line)";
const ACCENT = "var(--accent)";
const QUIET = "var(--quiet)";
const FONT = "inherit";
const NONE = { show: false } as const;
/** Average width of a letter in parts of the font size; Node has no fonts to measure with. */
const LETTER = 0.58;
const FONT_SIZE = 13;

interface Drawing {
  readonly width: number;
  readonly height: number;
  /** What a screen reader says. */
  readonly label: string;
  /** Class of the svg element. */
  readonly className?: string;
}

/** Takes out what only a live page needs: hover rules, numbering that differs from run to run, its own head. */
const cleaned = (svg: string): string =>
  svg
    .replace(/<style[\s\S]*?<\/style>/g, "")
    .replace(/ (?:ecmeta_\w+|class|xml:space|baseProfile|version|xmlns(?::\w+)?)="[^"]*"/g, "")
    .replace(/<rect [^>]*fill="none"[^>]*><\/rect>/, "")
    .replace(/\n+/g, "");

function draw(option: object, { width, height, label, className = "chart" }: Drawing): Html {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: FONT, fontSize: FONT_SIZE, color: INK }, ...option });
    const body = cleaned(chart.renderToSVGString()).replace(/^<svg[^>]*>/, "");
    const title = escapeHtml(label);
    const head = `<svg class="${className}" role="img" aria-label="${title}" viewBox="0 0 ${width} ${height}">`;
    return trusted(`${head}<title>${title}</title>${body}`);
  } finally {
    // ECharts keeps Node alive until its charts are disposed of
    chart.dispose();
  }
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Written at the end of the bar. */
  readonly text: string;
  readonly kind: "original" | "candidate" | "best";
}

const BAR_COLORS = { original: QUIET, candidate: "var(--accent-soft)", best: ACCENT } as const;
const BAR_CHART_WIDTH = 340;
const BAR_HEIGHT = 30;
const NAME_LENGTH = 16;

const textWidth = (texts: readonly string[]): number =>
  Math.ceil(Math.max(...texts.map((text) => text.length)) * FONT_SIZE * LETTER);

/** Horizontal bars from zero with their values at the end. */
export function barChart(label: string, bars: readonly Bar[]): Html {
  const labels = bars.map(({ name }) => shorten(printable(name), NAME_LENGTH));
  const left = textWidth(labels) + 14;
  const right = textWidth(bars.map(({ text }) => text)) + 12;
  const option = {
    grid: { left, right, top: 2, bottom: 2 },
    xAxis: { type: "value", show: false, min: 0, max: Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE) },
    yAxis: {
      type: "category",
      inverse: true,
      data: labels,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: INK, fontSize: FONT_SIZE, margin: 10, interval: 0 },
    },
    series: [
      {
        type: "bar",
        silent: true,
        barWidth: 16,
        data: bars.map(({ value, text, kind }) => ({
          value,
          itemStyle: { color: BAR_COLORS[kind], borderRadius: [0, 2, 2, 0] },
          label: { show: true, position: "right", color: INK, fontSize: FONT_SIZE, formatter: text },
        })),
      },
    ],
  };
  return draw(option, { width: BAR_CHART_WIDTH, height: bars.length * BAR_HEIGHT + 4, label });
}

/** More bars than this in one row are thinner than a pixel on a phone: the worst of neighbours stands for them. */
const MOST_BARS = { wide: 240, narrow: 90 } as const;
const SIZES = { wide: { width: 1000, height: 240 }, narrow: { width: 360, height: 200 } } as const;

/** The lowest of each run of neighbours; null (exact) counts as the highest. */
function lowest(values: readonly (number | null)[], most: number): readonly (number | null)[] {
  const per = Math.ceil(values.length / most);
  return Array.from({ length: Math.ceil(values.length / per) }, (_, i) =>
    values
      .slice(i * per, (i + 1) * per)
      .reduce((low, value) => (low === null || (value !== null && value < low) ? value : low)),
  );
}

/** Signal to quantization noise of each layer, in the order of the network; once for screens, once for phones. */
export function layerChart(label: string, layers: readonly LayerResult[]): readonly Html[] {
  const axis = { axisLine: { lineStyle: { color: LINE } }, axisTick: { show: false } };
  return (["wide", "narrow"] as const).map((size) => {
    const values = lowest(
      layers.map(({ sqnr }) => sqnr),
      MOST_BARS[size],
    );
    const top = Math.max(1, ...values.map((value) => value ?? 0));
    const option = {
      grid: { left: 44, right: 8, top: 26, bottom: 30 },
      xAxis: {
        type: "category",
        data: values.map((_, i) => String(i + 1)),
        ...axis,
        axisLabel: { show: false },
        name: "input \u2192 output",
        nameLocation: "middle",
        nameGap: 12,
        nameTextStyle: { color: SOFT, fontSize: 12 },
      },
      yAxis: {
        type: "value",
        name: "dB",
        nameTextStyle: { color: SOFT, align: "right", fontSize: 12 },
        axisLabel: { color: SOFT, fontSize: 12 },
        splitLine: { lineStyle: { color: LINE } },
        splitNumber: 4,
      },
      series: [
        {
          type: "bar",
          silent: true,
          barCategoryGap: "20%",
          barMaxWidth: 28,
          itemStyle: { color: ACCENT },
          data: values.map((value) => (value === null ? { value: top, itemStyle: { color: QUIET } } : value)),
        },
      ],
    };
    return draw(option, { ...SIZES[size], label, className: `chart ${size}` });
  });
}

const HISTOGRAM = { width: 300, height: 96 } as const;

/** Bars of a distribution on a square-root scale, so that thin tails show; the chosen range is shaded. */
export function histogramChart(label: string, { min, max, counts }: ValueHistogram, range: LayerResult["range"]): Html {
  const end = counts.length - 0.5;
  const position = (value: number): number => ((value - min) / (max - min || 1)) * counts.length - 0.5;
  const inside = (x: number): number => Math.min(end, Math.max(-0.5, x));
  const area = range && [[{ xAxis: inside(position(range.min)) }, { xAxis: inside(position(range.max)) }]];
  const option = {
    grid: { left: 1, right: 1, top: 2, bottom: 1 },
    xAxis: {
      type: "value",
      min: -0.5,
      max: end,
      axisLabel: NONE,
      axisTick: NONE,
      splitLine: NONE,
      axisLine: { lineStyle: { color: LINE } },
    },
    yAxis: { type: "value", show: false, min: 0 },
    series: [
      {
        type: "bar",
        silent: true,
        barWidth: Math.max(1, HISTOGRAM.width / counts.length - 1),
        itemStyle: { color: ACCENT },
        data: counts.map((value, i) => [i, Math.sqrt(value)]),
        ...(area && { markArea: { silent: true, data: area, itemStyle: { color: "var(--range)" } } }),
      },
    ],
  };
  return draw(option, { ...HISTOGRAM, label, className: "chart histogram" });
}

const LOSS = { width: 360, height: 160 } as const;

/** A loss over a run, its steps from left to right. */
export function lossChart(label: string, losses: readonly number[]): Html {
  const option = {
    grid: { left: 44, right: 6, top: 8, bottom: 6 },
    xAxis: {
      type: "category",
      data: losses.map((_, i) => String(i)),
      boundaryGap: false,
      axisLine: { lineStyle: { color: LINE } },
      axisTick: NONE,
      axisLabel: NONE,
    },
    yAxis: {
      type: "value",
      scale: true,
      axisLabel: { color: SOFT, fontSize: 12 },
      splitLine: { lineStyle: { color: LINE } },
      splitNumber: 4,
    },
    series: [
      {
        type: "line",
        silent: true,
        showSymbol: losses.length < 2,
        lineStyle: { color: ACCENT, width: 1.5 },
        itemStyle: { color: ACCENT },
        data: losses,
      },
    ],
  };
  return draw(option, { ...LOSS, label });
}
