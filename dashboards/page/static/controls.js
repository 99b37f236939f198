// What may be asked of the run. The token comes in the address's fragment, which no server sees.
const HEADER = "X-Fraudsim-Control";

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("control");
  if (given) sessionStorage.setItem("control", given);
  return given ?? sessionStorage.getItem("control") ?? "";
}

function fill(select, values) {
  const known = [...select.options].map((option) => option.value);
  if (known.join() === values.join()) return;
  select.replaceChildren(...values.map((value) => new Option(value, value)));
}

export class ControlPanel {
  constructor(section) {
    this.token = takeToken();
    this.section = section;
    this.state = section.querySelector("[data-said]");
    if (document.documentElement.dataset.controls !== "on") return;
    if (!this.token) {
      this.say("open the printed address, with its #control= part, to ask for anything");
      return;
    }
    this.offer();
    for (const form of section.querySelectorAll("form")) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.ask(form, event.submitter);
      });
    }
    section.querySelector("[name=share]").addEventListener("input", (event) => this.showShare(event.target.value));
  }

  say(text) { this.state.textContent = text; }

  showShare(value) { this.section.querySelector("[data-share]").textContent = `${value} %`; }

  async offer() {
    let offer;
    try {
      offer = await (await fetch("/controls")).json();
    } catch {
      this.say("the page's process does not answer");
      return;
    }
    fill(this.section.querySelector("[name=typology]"), offer.typologies);
    fill(this.section.querySelector("[name=part]"), offer.parts);
    const model = this.section.querySelector("[name=version]");
    fill(model, offer.models);
    for (const form of this.section.querySelectorAll("form")) {
      form.hidden = !form.dataset.kinds.split(" ").some((kind) => offer.kinds.includes(kind));
    }
    const tempo = this.section.querySelector("[name=tempo]");
    const typology = this.section.querySelector("[name=typology]");
    const pace = () => { tempo.disabled = !offer.paced.includes(typology.value); };
    typology.addEventListener("change", pace);
    pace();
  }

  // The fields that the button names, as numbers where they are.
  async ask(form, button) {
    const asked = { kind: button.value };
    for (const name of (button.dataset.fields ?? "").split(" ").filter(Boolean)) {
      const field = form.elements[name];
      if (field.disabled || field.value === "") continue;
      const scale = field.dataset.percent === undefined ? 1 : 100;
      asked[name] = field.type === "number" || field.type === "range" ? Number(field.value) / scale : field.value;
    }
    if (button.dataset.version) asked.version = button.dataset.version;
    this.say(`asking for: ${asked.kind}`);
    try {
      const reply = await fetch("/controls", {
        method: "POST",
        headers: { "Content-Type": "application/json", [HEADER]: this.token },
        body: JSON.stringify(asked),
      });
      this.say(reply.ok ? `asked for: ${(await reply.json()).text}` : await reply.text());
    } catch {
      this.say("the page's process does not answer");
    }
  }

  show(inForce) {
    if (!inForce) return;
    const text = inForce.paused ? "paused" : `${Math.round(inForce.share * 100)} % of the rate it was started with`;
    const node = this.section.querySelector("[data-force]");
    if (node.textContent !== text) node.textContent = text;
  }
}
