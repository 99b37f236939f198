// The heat map of latencies, on a canvas.
import { fillTable } from "./document.js";

const LEFT = 64;
const BOTTOM = 18;
const MOST_COLUMNS = 120;

export function drawHeat(canvas, rows, counts, edges, marks = []) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const cellWidth = (width - LEFT) / MOST_COLUMNS;
  const cellHeight = (height - BOTTOM) / (edges.length + 1);
  const y = (index) => height - BOTTOM - (index + 1) * cellHeight;
  const last = rows.length ? rows[rows.length - 1][0] : 0;
  const heat = style.getPropertyValue("--heat");
  rows.forEach((row, column) => {
    const x = width - (last - row[0] + 1) * cellWidth;
    if (x < LEFT - 0.01) return;
    const total = counts[column].reduce((sum, count) => sum + count, 0);
    counts[column].forEach((count, index) => {
      if (!count) return;
      context.fillStyle = `rgba(${heat}, ${(0.12 + 0.88 * Math.sqrt(count / total)).toFixed(3)})`;
      context.fillRect(x, y(index), Math.max(cellWidth - 0.5, 1), cellHeight - 0.5);
    });
  });
  context.fillStyle = style.getPropertyValue("--soft");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  edges.forEach((edge, index) => {
    if ([2, 10, 50, 200, 1000].includes(edge)) context.fillText(`${edge} ms`, LEFT - 6, y(index));
  });
  context.strokeStyle = style.getPropertyValue("--soft");
  for (const [at] of marks) {
    const x = width - (last - Math.floor(at) + 0.5) * cellWidth;
    if (x < LEFT || x > width) continue;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height - BOTTOM);
    context.stroke();
  }
  context.strokeStyle = style.getPropertyValue("--bad");
  context.setLineDash([10, 5]);
  context.beginPath();
  context.moveTo(LEFT, y(edges.indexOf(50)));
  context.lineTo(width, y(edges.indexOf(50)));
  context.stroke();
  context.setLineDash([]);
  if (rows.length) {
    context.textBaseline = "alphabetic";
    context.fillText(new Date(last * 1000).toLocaleTimeString("en-GB"), width, height - 3);
    context.textAlign = "left";
    context.fillText(`${MOST_COLUMNS} s before`, LEFT, height - 3);
  }
}

// The same numbers: a row for each second, the newest first.
export function heatTable(table, rows, counts, edges, clock) {
  const head = table.tHead.rows[0] ?? table.tHead.insertRow();
  ["second", ...edges.map((edge) => `to ${edge} ms`), "above"].forEach((text, index) => {
    const cell = head.cells[index] ?? head.appendChild(document.createElement("th"));
    if (cell.textContent === text) return;
    cell.textContent = text;
    if (index) cell.className = "number";
  });
  const seconds = rows.map((row, index) => ({ second: row[0], counts: counts[index] })).reverse();
  fillTable(table, seconds, "no decision yet", (row) => [clock(row.second), ...row.counts.map((count) => [count])]);
}
