// One decision: what led to it, the card's last hour, its log prefix.
function add(parent, name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  parent.append(node);
  return node;
}

export async function openDetail(dialog, title, body, txId, truth) {
  title.textContent = `Decision on ${txId}`;
  body.replaceChildren();
  add(body, "p", "asking for it");
  if (!dialog.open) dialog.showModal();
  let reply;
  try {
    reply = await fetch(`/decisions/${encodeURIComponent(txId)}?truth=${truth ? "on" : "off"}`);
  } catch {
    body.replaceChildren();
    add(body, "p", "the page's process does not answer");
    return;
  }
  body.replaceChildren();
  if (!reply.ok) {
    add(body, "p", await reply.text());
    return;
  }
  show(body, await reply.json());
}

function show(body, { decision, because, features, card_hour: hour, fraud }) {
  add(body, "p", `${decision.action}, score ${decision.score.toFixed(4)}, amount ${(decision.amount_cents / 100).toFixed(2)}, ` +
    `model ${decision.model_version} as ${decision.variant}, policy ${decision.policy_version}`);
  if (fraud) add(body, "p", `truth: fraud, ${fraud.typology}, campaign ${fraud.campaign || "none"}`).className = "fraud";
  add(body, "h3", "What led to it");
  const list = add(body, "ul", "");
  for (const rule of decision.rule_hits) add(list, "li", `rule ${rule}`);
  for (const sentence of because) add(list, "li", sentence);
  for (const held of decision.held_back) add(list, "li", `held back: ${held}`);
  if (!list.children.length) add(list, "li", "nothing raised the score");
  add(body, "h3", "The card's last hour, event time");
  const hourTable = add(body, "table", "");
  for (const payment of hour) {
    const row = hourTable.insertRow();
    for (const text of [payment.time, payment.action, (payment.cents / 100).toFixed(2), payment.score.toFixed(4), payment.fraud?.typology ?? ""]) {
      row.insertCell().textContent = text;
    }
  }
  add(body, "h3", "Its log prefix");
  add(body, "p", `source: partition ${decision.source_partition}, offset ${decision.source_offset}`);
  add(body, "pre", JSON.stringify(decision.prefix, null, 1));
  const details = add(body, "details", "");
  add(details, "summary", "All features");
  const table = add(details, "table", "");
  for (const [name, value] of Object.entries(features)) {
    const row = table.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = value === null ? "unknown" : String(value);
  }
}
