import { EngineClient } from "../../src/engine/engine_client.ts";

/** What a test asks an engine to do with containers, by the Engine API. */
export class ContainerDriver implements Disposable {
  readonly client: EngineClient;
  readonly #image: string;

  constructor(socketPath: string, options: { readonly image?: string } = {}) {
    this.client = new EngineClient({ socketPath });
    this.#image = options.image ?? "busybox:local";
  }

  /** Creates a container, by default one that does nothing for long; its full id. */
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

  /** Waits until it does not run; its exit code. */
  async wait(id: string): Promise<number> {
    const reply = await this.client.request("POST", `/containers/${id}/wait`, { timeoutMs: 0 });
    return (await reply.json()).StatusCode;
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
