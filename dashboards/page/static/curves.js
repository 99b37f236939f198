// Lines over time by uPlot, in the colours of the theme.
import uPlot from "./vendor/uPlot.esm.js";

// Controls as lines across the plot, with their kind.
function drawMarks(plot, marks, colour) {
  const { left, top, width, height } = plot.bbox;
  const context = plot.ctx;
  context.save();
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = devicePixelRatio || 1;
  context.font = `${11 * (devicePixelRatio || 1)}px system-ui, sans-serif`;
  for (const [at, kind] of marks) {
    const x = Math.round(plot.valToPos(at, "x", true));
    if (!(x >= left && x <= left + width)) continue;
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x, top + height);
    context.stroke();
    context.fillText(kind, x + 3, top + 11 * (devicePixelRatio || 1));
  }
  context.restore();
}

export class Curves {
  constructor(id, legendId, lines, logarithmic = false) {
    this.logarithmic = logarithmic;
    this.node = document.getElementById(id);
    this.lines = lines;
    this.plot = null;
    this.data = null;
    this.marks = [];
    const legend = document.getElementById(legendId);
    for (const line of lines) {
      const entry = document.createElement("span");
      const sample = document.createElement("i");
      sample.style.borderColor = `var(${line.colour})`;
      sample.style.borderTopStyle = line.dash ? (line.dash[0] > 4 ? "dashed" : "dotted") : "solid";
      entry.append(sample, line.label);
      legend.append(entry);
    }
    new ResizeObserver(() => this.resize()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  resize() {
    const size = { width: this.node.clientWidth, height: this.node.clientHeight };
    if (this.plot && size.width && (size.width !== this.plot.width || size.height !== this.plot.height)) this.plot.setSize(size);
  }

  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    if (this.data) this.show(this.data, this.marks);
  }

  show(data, marks = []) {
    this.data = data;
    this.marks = marks;
    if (!this.node.clientWidth) return;
    if (this.plot) {
      this.plot.setData(data);
      return;
    }
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1 }, font: "12px system-ui, sans-serif" };
    this.plot = new uPlot({
      width: this.node.clientWidth,
      height: this.node.clientHeight,
      legend: { show: false },
      hooks: { draw: [(plot) => drawMarks(plot, this.marks, colour("--soft"))] },
      cursor: { drag: { x: false, y: false } },
      scales: { y: this.logarithmic ? { distr: 3, range: (plot, low, high) => [1, Math.max(100, high * 1.5)] } : { range: (plot, low, high) => [Math.min(0, low), (high || 1) * 1.05] } },
      axes: [{ ...axis, space: 90, values: (plot, values) => values.map((value) => new Date(value * 1000).toLocaleTimeString("en-GB")) }, { ...axis, size: 64, values: (plot, values) => values.map((value) => (value === null ? "" : value.toLocaleString("en"))) }],
      series: [{}, ...this.lines.map((line) => ({ label: line.label, stroke: colour(line.colour), width: 2, dash: line.dash, points: { show: false } }))],
    }, data, this.node);
  }
}
