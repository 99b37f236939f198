// One stream for all tabs of a browser: HTTP/1.1 gives a host six connections. Where there is no SharedWorker,
// each tab has a stream of its own.
export function openStream(truth, handlers) {
  const take = ({ name, data }) => handlers[name](name === "state" ? data : JSON.parse(data));
  if (typeof SharedWorker === "undefined") {
    follow(truth, take);
    return;
  }
  const worker = new SharedWorker("/static/shared.js", { type: "module", name: truth ? "truth" : "bank" });
  worker.port.onmessage = (message) => take(message.data);
  worker.port.postMessage({ truth });
  addEventListener("pagehide", () => worker.port.postMessage({ bye: true }));
  addEventListener("pageshow", (event) => event.persisted && worker.port.postMessage({ truth }));
}

// Follows the events and hands each to `take`; the browser itself connects again after a break.
export function follow(truth, take) {
  const source = new EventSource(truth ? "/events?truth=on" : "/events?truth=off");
  let again = null;
  source.onopen = () => take({ name: "state", data: "live" });
  source.onerror = () => {
    take({ name: "state", data: "the page's process does not answer, or ten browsers read it; trying again" });
    if (source.readyState === EventSource.CLOSED && again === null) {
      again = setTimeout(() => { source.close(); closing = follow(truth, take); }, 3000);
    }
  };
  for (const name of ["snapshot", "series"]) {
    source.addEventListener(name, (event) => take({ name, data: event.data }));
  }
  let closing = () => { clearTimeout(again); source.close(); };
  return () => closing();
}
