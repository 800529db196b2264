import { type AttachConnection, attachContainer } from "../engine/attach_connection.ts";
import type { EngineClient } from "../engine/engine_client.ts";
import { engineIdentity } from "../engine/events/followed_connection.ts";
import { EngineError } from "../engine/http/engine_error.ts";
import { readTtyTail } from "../engine/logs/tty_log.ts";
import type { Clock } from "../platform/clock.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

export interface ContainerTerminalsOptions {
  /** Disposed by its owner. */
  readonly client: EngineClient;
  readonly clock: Clock;
}

/** The engine's operations on the terminals of containers. Each rejects with an EngineError. */
export class ContainerTerminals {
  readonly #client: EngineClient;
  readonly #clock: Clock;

  constructor({ client, clock }: ContainerTerminalsOptions) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Returns an id that distinguishes this engine from others, and that stays the same when the engine restarts. */
  async engineId(abort: AbortSignal): Promise<string> {
    const { kind } = await this.#client.identify(abort);
    return engineIdentity(kind, await this.#client.info(abort));
  }

  /**
   * Attaches to a container's terminal, for input and output from now on. The container need not have been started. The
   * caller must read the connection: once its buffers are full, the container blocks.
   */
  async attach(id: string, abort: AbortSignal): Promise<AttachConnection> {
    const { apiVersion } = await this.#client.identify(abort);
    const { socketPath } = this.#client;
    return await attachContainer({
      socketPath,
      apiVersion,
      id,
      stdin: true,
      abort,
      clock: this.#clock,
    });
  }

  /**
   * Like {@linkcode attach}, for a running container. Podman accepts an attach to a container that has ended, and reports
   * its end only after a while, so the container is inspected as well.
   * @throws {EngineError} `conflict` when the container does not run
   */
  async attachRunning(id: string, abort: AbortSignal): Promise<AttachConnection> {
    const connection = await this.attach(id, abort);
    try {
      const { State } = await this.#client.inspectContainer(id, abort);
      if (State.Running) return connection;
      throw new EngineError(`container ${id} is not running`, { code: "conflict" });
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** Returns the last output that the engine has logged, at most `maxBytes`. */
  async tail(
    id: string,
    { maxBytes, abort }: { readonly maxBytes: number; readonly abort: AbortSignal },
  ): Promise<Uint8Array> {
    return await readTtyTail(this.#client, id, { maxBytes, abort });
  }

  /** Sets the size of the terminal. Works only while the container runs. */
  async resize(id: string, { columns, rows, abort }: TerminalSize & { abort: AbortSignal }): Promise<void> {
    const query = { w: columns, h: rows };
    const reply = await this.#client.request("POST", `/containers/${id}/resize`, { query, abort });
    await reply.body?.cancel();
  }
}
