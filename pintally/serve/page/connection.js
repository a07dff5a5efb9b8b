// The document: once from /api/state.json, then each second from /api/events; again by itself after a loss.

const SILENT_S = 5; // without a document for this long, the stream is taken for broken and opened again
const AGAIN_MS = 2000;

/** Knows the newest document and how old it is. `changed` is called for each document and each change of the link. */
export class Connection {
  #changed;
  #events = null;
  #heard = 0; // when the last document came, by performance.now()
  #skew = 0; // the browser's clock minus the server's, in seconds
  state = null;
  open = false;

  constructor(changed) {
    this.#changed = changed;
  }

  start() {
    this.#fetch();
    this.#listen();
    setInterval(() => this.#watch(), 1000);
  }

  /** How old what is shown is, in seconds. */
  get age() {
    return Math.max(0, Date.now() / 1000 - this.#skew - this.state.looked_at);
  }

  async #fetch() {
    try {
      const answer = await fetch("/api/state.json", { cache: "no-store" });
      if (!answer.ok) return;
      const sent = Date.parse(answer.headers.get("Date") ?? "");
      const skew = (Date.now() - sent) / 1000;
      this.#skew = Math.abs(skew) > 2 ? skew : 0; // the header has whole seconds
      this.#take(await answer.json());
    } catch {
      // The stream tries again, and the page says that nothing answers.
    }
  }

  #listen() {
    this.#events?.close();
    this.#heard = performance.now();
    const events = new EventSource("/api/events");
    this.#events = events;
    events.addEventListener("message", (event) => {
      if (!this.open) this.#fetch();
      this.open = true;
      this.#heard = performance.now();
      this.#take(JSON.parse(event.data));
    });
    events.addEventListener("error", () => this.#lost(events));
  }

  #take(state) {
    if (this.state && state.looked_at < this.state.looked_at) return;
    this.state = state;
    this.#changed();
  }

  #lost(events) {
    if (events !== this.#events) return;
    this.open = false;
    this.#changed();
    if (events.readyState === EventSource.CLOSED) setTimeout(() => events === this.#events && this.#listen(), AGAIN_MS);
  }

  #watch() {
    if (performance.now() - this.#heard < SILENT_S * 1000) return;
    this.open = false;
    this.#listen();
    this.#changed();
  }
}
