// The list of the latest decisions, the newest first.
const MARKS = { approve: "✓ approve", step_up: "? step-up", review: "◷ review", decline: "✕ decline" };
const nodes = new WeakMap();

function makeRow(body, open) {
  const row = body.insertRow();
  const cells = Array.from({ length: 7 }, () => row.insertCell());
  const button = document.createElement("button");
  button.type = "button";
  button.title = "What led to it";
  button.addEventListener("click", () => open(row.dataset.tx, button));
  cells[0].append(button);
  cells[2].className = cells[3].className = "number";
  cells[5].className = "why";
  cells[6].className = "truth";
  nodes.set(row, { button, cells });
  return row;
}

export function showDecisions(body, decisions, truth, open) {
  const newest = decisions.toReversed();
  newest.forEach((decision, index) => {
    const row = body.rows[index] ?? makeRow(body, open);
    const fraud = truth && decision.fraud ? decision.fraud.typology : "";
    if (row.dataset.tx === decision.tx_id && row.dataset.fraud === fraud) return;
    row.dataset.tx = decision.tx_id;
    row.dataset.fraud = fraud;
    const { button, cells } = nodes.get(row);
    button.textContent = decision.time;
    cells[1].textContent = MARKS[decision.action] ?? decision.action;
    cells[1].className = `chip ${MARKS[decision.action] ? decision.action : ""}`;
    cells[2].textContent = (decision.cents / 100).toFixed(2);
    cells[3].textContent = decision.score.toFixed(4);
    cells[4].textContent = decision.card;
    cells[5].textContent = [...decision.flags, ...decision.reasons].join(", ");
    cells[6].textContent = fraud ? `fraud: ${fraud}` : "";
    cells[6].className = fraud ? "truth fraud" : "truth";
  });
  while (body.rows.length > newest.length) body.deleteRow(-1);
}
