// Shows what the stream brings. Every text of the log is set as text, never as HTML.
import { openStream } from "./stream.js";
import { fillTable, setFigures, setBoxes } from "./document.js";
import { openDetail } from "./detail.js";
import { showDecisions } from "./decisions.js";
import { drawHeat, heatTable } from "./heat.js";
import { Curves } from "./curves.js";
import { ControlPanel } from "./controls.js";

const truth = document.documentElement.dataset.truth === "on";
const panel = new ControlPanel(document.getElementById("controls"));
history.replaceState(null, "", truth ? "/" : "/?truth=off"); // the key is in the cookie now

const byId = (id) => document.getElementById(id);
const cents = (value) => (value / 100).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const number = (value) => [value === null ? "–" : value.toLocaleString("en")]; // [text]: see fillTable
const clock = (second) => new Date(second * 1000).toLocaleTimeString("en-GB");
const latency = new Curves("latency-plot", "latency-legend", [
  { label: "p50", colour: "--series-1" },
  { label: "p99", colour: "--series-2" },
  { label: "p99.9", colour: "--series-3", dash: [3, 3] },
  { label: "objective, 50 ms", colour: "--bad", dash: [10, 5] },
  { label: "null pipeline's p99", colour: "--soft", dash: [2, 5] },
], true);
const loss = new Curves("money-plot", "money-legend", [
  { label: "by labels", colour: "--series-1" },
  ...(truth ? [{ label: "by the truth", colour: "--series-2", dash: [8, 4] }] : []),
]);

const beside = truth ? new Curves("beside-plot", "beside-legend", [
  { label: "real time", colour: "--series-1" },
  { label: "batch, open loop", colour: "--series-2", dash: [8, 4] },
]) : null;

let snapshot = null;
let series = null;
let detailOpener = null;

function showSnapshot() {
  const { figures, boxes, problem, note } = snapshot;
  setFigures(figures);
  setBoxes(boxes, byId("alert"));
  byId("problem").hidden = !problem && !note;
  const text = [problem, note].filter(Boolean).join("; ");
  if (byId("problem").textContent !== text) byId("problem").textContent = text;
  const lost = figures.lost[0];
  byId("lost-box").className = lost ? "big bad" : lost === 0 ? "big good" : "big";
  byId("p99").parentElement.className = figures.p99_recent_ms[0] > 50 ? "big bad" : "big";
  if (!byId("hold").checked) {
    const which = document.querySelector("input[name=which]:checked").value;
    showDecisions(byId("decision-table").tBodies[0], snapshot[which] ?? [], truth, open);
  }
  fillTable(byId("reported-table"), snapshot.reported ?? [], "no fraud has been reported yet", (card) => [
    card.card_id, [card.reports], [cents(card.cents)], card.first_ts, card.known_at, card.source,
  ]);
  if (truth) {
    fillTable(byId("campaign-table"), snapshot.campaigns ?? [], "no campaign yet", (campaign) => [
      campaign.typology, campaign.began, [campaign.transactions], [campaign.cards],
      stopText(campaign),
      [cents(campaign.paid_cents)], [cents(campaign.stopped_cents)], campaign.campaign,
    ]);
    const compared = (snapshot.campaigns ?? []).filter((campaign) => campaign.beside);
    fillTable(byId("beside-table"), compared, "nothing is decided beside the line", (campaign) => [
      campaign.campaign, campaign.began, stopText(campaign), stopText(campaign.beside),
      [cents(campaign.paid_cents)], [cents(campaign.beside.paid_cents)],
    ]);
  }
  panel.show(snapshot.in_force);
  fillTable(byId("control-table"), snapshot.controls ?? [], "nothing has been asked for", (control) => [
    control.asked, control.text, control.placed ?? (["attack", "drift"].includes(control.kind) ? "not yet" : ""),
  ]);
  fillTable(byId("model-table"), snapshot.models ?? [], "no model serves, and none has decided", (model) => [
    model.version, model.role || "–", model.variant || "–", number(model.decisions), number(model.compared), number(model.differing),
  ]);
  fillTable(byId("calibration-table"), snapshot.calibration ?? [], "no decision yet", (band) => [
    [String(band.to)], number(band.decisions), [band.predicted.toFixed(1)], ...(truth ? [number(band.frauds)] : []),
  ]);
  showLabels(snapshot.labels ?? []);
  showDrift(snapshot.drift ?? []);
}

function stopText({ first_stopped: stopped, after_s: after }) {
  return stopped === null ? "not yet" : `${stopped} (after ${after.toLocaleString("en")} s)`;
}

function showLabels(labels) {
  const sources = [...new Set(labels.map((label) => label.source))];
  const count = (source, fraud) =>
    labels.find((label) => label.source === source && label.fraud === fraud)?.count ?? 0;
  fillTable(byId("label-table"), sources, "no label yet", (source) => [
    source, [count(source, true).toLocaleString("en")], [count(source, false).toLocaleString("en")],
  ]);
}

function showDrift(drift) {
  const drifted = drift.filter((row) => row.psi > row.limit);
  const text = drift.length === 0 ? "not enough decisions yet"
    : drifted.length === 0 ? "none beyond chance" : `${drifted.length} of ${drift.length} beyond chance`;
  if (byId("drift-summary").textContent !== text) byId("drift-summary").textContent = text;
  fillTable(byId("drift-table"), drift, "not enough decisions yet", (row) => [
    row.feature, [row.psi.toFixed(4)], [row.limit.toFixed(4)], row.psi > row.limit ? "beyond chance" : "within chance",
  ]);
}

function showSeries() {
  const { rows, counts, edges_ms: edges, null_ms: nullMs, net_loss: curve, marks } = series;
  const column = (index) => rows.map((row) => row[index]);
  latency.show([
    column(0), column(2), column(3), column(4), rows.map(() => 50), rows.map(() => nullMs[1]),
  ], marks);
  loss.show([
    curve.map((point) => point[0]),
    curve.map((point) => point[1] / 100),
    ...(truth ? [curve.map((point) => point[2] / 100)] : []),
  ], marks);
  beside?.show([
    curve.map((point) => point[0]), curve.map((point) => point[2] / 100),
    curve.map((point) => (point[3] === null ? null : point[3] / 100)),
  ], marks);
  drawHeat(byId("heat"), rows, counts, edges, marks);
  if (byId("latency-table").closest("details").open) {
    fillTable(byId("latency-table"), rows.toReversed(), "no decision yet", (row) => [clock(row[0]), ...row.slice(1).map(number)]);
  }
  if (byId("heat-table").closest("details").open) heatTable(byId("heat-table"), rows, counts, edges, clock);
  if (byId("money-table").closest("details").open) {
    fillTable(byId("money-table"), curve.toReversed(), "nothing yet", (point) => [
      clock(point[0]), ...point.slice(1).map((value) => [value === null ? "–" : cents(value)]),
    ]);
  }
}

function open(txId, opener) {
  detailOpener = opener;
  openDetail(byId("detail"), byId("detail-title"), byId("detail-body"), txId, truth);
}

byId("detail").addEventListener("close", () => detailOpener?.isConnected && detailOpener.focus());
const show = () => {
  if (document.hidden) return;
  if (snapshot) showSnapshot();
  if (series) showSeries();
};
document.addEventListener("visibilitychange", show);
document.addEventListener("toggle", () => series && showSeries(), true);
for (const input of document.querySelectorAll("input")) input.addEventListener("change", () => snapshot && showSnapshot());
openStream(truth, {
  snapshot(data) { snapshot = data; if (!document.hidden) showSnapshot(); },
  series(data) { series = data; if (!document.hidden) showSeries(); },
  state(text) { if (byId("stream-state").textContent !== text) byId("stream-state").textContent = text; },
});
