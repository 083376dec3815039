// The service: questions and answers as JSON, errors in words, and one question in flight at a time.

/** What the service, or the way to it, said went wrong. */
export class ServiceError extends Error {
  constructor(status, { message, hint = "" }) {
    super(message);
    this.status = status;
    this.hint = hint;
  }

  /** Whether the same question may be answered later. */
  get passes() {
    return [0, 408, 429].includes(this.status) || this.status >= 500;
  }
}

/** The error that stands in place of a row's answer. */
export function rowError(error) {
  return new ServiceError(422, error);
}

const TOKEN = "chainrule-token";

export class Service {
  /** @param askToken returns a promise of the bearer token that somebody typed. */
  constructor(askToken) {
    this.askToken = askToken;
  }

  models() {
    return this.ask("/v1/models");
  }

  model(name) {
    return this.ask(`/v1/models/${encodeURIComponent(name)}`);
  }

  /** GET where there is no body, POST where there is one. */
  async about(name, what, body) {
    return this.ask(`/v1/models/${encodeURIComponent(name)}/${what}`, body);
  }

  async ask(path, body) {
    const token = sessionStorage.getItem(TOKEN);
    const response = await this.send(path, body, token);
    if (response.status === 401) {
      // Several questions may meet the same refusal; one form answers all of them.
      if (sessionStorage.getItem(TOKEN) === token) await this.newToken();
      return this.ask(path, body);
    }
    const answer = await response.json().catch(() => null);
    if (response.ok && answer !== null) return answer;
    throw new ServiceError(response.status, answer?.error ?? {
      message: `the service answered ${response.status} without saying why`,
    });
  }

  async send(path, body, token) {
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    const method = body === undefined ? "GET" : "POST";
    try {
      return await fetch(path, { method, headers, body: JSON.stringify(body) });
    } catch {
      throw new ServiceError(0, {
        message: "the service does not answer",
        hint: "see whether chainrule serve still runs; the page goes on as soon as it does",
      });
    }
  }

  async newToken() {
    this.typing ??= this.askToken().finally(() => { this.typing = null; });
    sessionStorage.setItem(TOKEN, await this.typing);
  }
}

const LONGEST_PAUSE_MS = 8000;

/**
 * Asks one question at a time. Of the states that arrive meanwhile only the newest is asked about, so that answers
 * never lag behind the hand by more than one question.
 */
export class Newest {
  /** @param trouble keeps the error of each `name` until the same question succeeds. */
  constructor(name, trouble, work) {
    Object.assign(this, { name, trouble, work, waiting: null, isRunning: false, isStopped: false });
  }

  ask(state) {
    this.waiting = { state };
    if (!this.isRunning) this.run();
  }

  stop() {
    this.isStopped = true;
    this.trouble.clear(this.name);
  }

  async run() {
    this.isRunning = true;
    let pause = 500;
    while (this.waiting !== null && !this.isStopped) {
      const { state } = this.waiting;
      this.waiting = null;
      try {
        await this.work(state, () => this.isStopped);
        this.trouble.clear(this.name);
        pause = 500;
      } catch (error) {
        if (!this.isStopped) this.trouble.show(this.name, error);
        if (!error.passes) continue;
        await new Promise((resolve) => { setTimeout(resolve, pause); });
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
        this.waiting ??= { state };
      }
    }
    this.isRunning = false;
  }
}

/** The number of particles that this machine can afford for a model while somebody draws. */
export class Particles {
  count = 64;

  /** Answers should come while the hand moves; few particles are worse than slow ones until that is hopeless. */
  adapt(milliseconds) {
    const isSlow = milliseconds > 250 || (milliseconds > 40 && this.count > 32);
    if (isSlow) this.count = Math.max(4, this.count / 2);
    if (milliseconds < 15) this.count = Math.min(512, this.count * 2);
  }
}
