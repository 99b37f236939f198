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
  show(body, await reply.json(), truth);
}

function show(body, { decision, because, features, card_hour: hour, fraud }, truth) {
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
  const heads = ["time", "action", "amount", "score", ...(truth ? ["truth"] : [])];
  addTable(body, heads, hour.map((payment) => [
    payment.time, payment.action, (payment.cents / 100).toFixed(2), payment.score.toFixed(4),
    ...(truth ? [payment.fraud ? `fraud: ${payment.fraud.typology}` : ""] : []),
  ]));
  add(body, "h3", "Its log prefix");
  add(body, "p", `source: partition ${decision.source_partition}, offset ${decision.source_offset}`);
  const { slots, pending, ...offsets } = decision.prefix;
  addTable(body, ["of the log", "offsets, by partition"], [
    ...Object.entries(slots).map(([slot, to]) => [`state of slot ${slot}, to`, to.join(" ")]),
    ...Object.entries(offsets).map(([name, by]) => [name, by.join(" ")]),
    ["pending", pending.join(" ")],
  ].filter(([, text]) => text));
  const details = add(body, "details", "");
  add(details, "summary", "All features");
  addTable(details, ["feature", "value"], Object.entries(features).map(([name, value]) => [name, value === null ? "unknown" : String(value)]));
}

function addTable(parent, heads, rows) {
  const table = add(add(parent, "div", ""), "table", "");
  table.parentElement.className = "scroll";
  const head = table.createTHead().insertRow();
  for (const text of heads) add(head, "th", text);
  const body = table.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const text of cells) row.insertCell().textContent = text;
  }
}
