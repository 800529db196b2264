import { EngineClient } from "../../../src/engine/engine_client.ts";
import { within } from "../within.ts";

/** Longer than any container of a test runs. */
const EXITS_WITHIN_MS = 60_000;
const LOGS_WITHIN_MS = 20_000;

/** Container operations for tests, by the Engine API. */
export class ContainerDriver implements Disposable {
  readonly client: EngineClient;
  readonly #image: string;

  constructor(socketPath: string, options: { readonly image?: string } = {}) {
    this.client = new EngineClient({ socketPath });
    this.#image = options.image ?? "busybox:local";
  }

  /** Creates a container, by default one that sleeps, and returns its full id. */
  async create({ name, ...config }: { readonly name: string } & Record<string, unknown>): Promise<string> {
    const reply = await this.client.request("POST", "/containers/create", {
      query: { name },
      body: { Image: this.#image, Cmd: ["sleep", "600"], ...config },
    });
    return (await reply.json()).Id;
  }

  async start(id: string): Promise<void> {
    await this.#post(`/containers/${id}/start`);
  }

  async stop(id: string, query: { readonly t?: number } = {}): Promise<void> {
    await this.#post(`/containers/${id}/stop`, query);
  }

  async kill(id: string, query: { readonly signal?: string } = {}): Promise<void> {
    await this.#post(`/containers/${id}/kill`, query);
  }

  /** Waits until the container has exited, and returns its exit code. */
  async wait(id: string): Promise<number> {
    const reply = await this.client.request("POST", `/containers/${id}/wait`, { timeoutMs: EXITS_WITHIN_MS });
    return (await within(EXITS_WITHIN_MS, `the exit of container ${id}`, reply.json())).StatusCode;
  }

  /** Waits until the engine has sent the event. Docker reports an exit or a removal in replies before it sends the event. */
  async untilReported(id: string, action: string): Promise<void> {
    const ending = new AbortController();
    const sent = async (): Promise<void> => {
      for await (const event of await this.client.openEvents({ sinceNano: 1e9, abort: ending.signal })) {
        if (event.id === id && event.action === action) return;
      }
      throw new Error(`the event stream ended without ${action} of container ${id}`);
    };
    try {
      await within(EXITS_WITHIN_MS, `${action} of container ${id}`, sent());
    } finally {
      ending.abort();
    }
  }

  /** Waits until the container's output contains `text`. */
  async untilLogged(id: string, text: string): Promise<void> {
    const query = { stdout: 1, follow: 1 };
    const { body } = await this.client.request("GET", `/containers/${id}/logs`, { query });
    if (body === null) throw new Error(`container ${id} has no log`);
    await within(LOGS_WITHIN_MS, `"${text}" in the log of container ${id}`, untilPrinted(body, text));
  }

  async remove(id: string, query: { readonly force?: boolean } = {}): Promise<void> {
    const reply = await this.client.request("DELETE", `/containers/${id}`, { query });
    await reply.body?.cancel();
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }

  async #post(path: string, query: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const reply = await this.client.request("POST", path, { query });
    await reply.body?.cancel();
  }
}

async function untilPrinted(log: ReadableStream<Uint8Array>, text: string): Promise<void> {
  let output = "";
  for await (const bytes of log) {
    output += new TextDecoder().decode(bytes);
    if (output.includes(text)) return;
  }
  throw new Error(`the container ended without printing "${text}"; its output was: ${output}`);
}
