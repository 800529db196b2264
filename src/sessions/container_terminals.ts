import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerEventSource } from "../containers/forwarding.ts";
import { type AttachConnection, attachContainer } from "../engine/attach_connection.ts";
import type { EngineClient } from "../engine/engine_client.ts";
import { engineIdentity } from "../engine/events/followed_connection.ts";
import { EngineError } from "../engine/http/engine_error.ts";
import { readTtyTail } from "../engine/logs/tty_log.ts";
import type { Clock } from "../platform/clock.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

export interface ContainerTerminalsOptions {
  /** Stays its owner's to dispose. */
  readonly client: EngineClient;
  readonly clock: Clock;
}

/** What an engine does with the terminals of its containers. Everything rejects with an EngineError. */
export class ContainerTerminals {
  readonly #client: EngineClient;
  readonly #clock: Clock;

  constructor({ client, clock }: ContainerTerminalsOptions) {
    this.#client = client;
    this.#clock = clock;
  }

  /** What tells this engine from another, also after a restart. */
  async engineId(signal: AbortSignal): Promise<string> {
    const { kind } = await this.#client.identify(signal);
    return engineIdentity(kind, await this.#client.info(signal));
  }

  /** Both ways, from now on; also before the container's start. Somebody must read it: a full one stops the container. */
  async attach(id: string, signal: AbortSignal): Promise<AttachConnection> {
    const { apiVersion } = await this.#client.identify(signal);
    const { socketPath } = this.#client;
    return await attachContainer({ socketPath, apiVersion, id, stdin: true, signal, clock: this.#clock });
  }

  /**
   * The same, of one that runs. Podman lets one attach to a container that has ended, and says that it has a while later.
   * @throws {EngineError} `conflict` when it does not run
   */
  async attachRunning(id: string, signal: AbortSignal): Promise<AttachConnection> {
    const connection = await this.attach(id, signal);
    try {
      const { State } = await this.#client.inspectContainer(id, signal);
      if (State.Running) return connection;
      throw new EngineError(`container ${id} does not run any more`, { code: "conflict" });
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** The last of what the container has said. */
  async tail(id: string, options: { maxBytes: number; signal: AbortSignal }): Promise<Uint8Array> {
    return await readTtyTail(this.#client, id, options);
  }

  /** Only while the container runs. */
  async resize(id: string, { columns, rows, signal }: TerminalSize & { signal: AbortSignal }): Promise<void> {
    const query = { w: columns, h: rows };
    const reply = await this.#client.request("POST", `/containers/${id}/resize`, { query, signal });
    await reply.body?.cancel();
  }
}

/** {@linkcode ContainerManager}, as far as sessions need it. */
export type SessionContainers =
  & Pick<
    ContainerManager,
    | "create"
    | "start"
    | "stop"
    | "kill"
    | "remove"
    | "inspect"
    | "find"
    | "list"
    | "owns"
    | "isCaughtUp"
  >
  & ContainerEventSource<"container:created">
  & ContainerEventSource<"container:started">
  & ContainerEventSource<"container:stopped">
  & ContainerEventSource<"container:died">
  & ContainerEventSource<"container:removed">
  & EngineConnections;

/** Tells when the engine is heard (again), and when what happened until then has been told. */
interface EngineConnections {
  on(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
  off(name: "engine:connected" | "engine:caught-up", listener: () => void): unknown;
}
