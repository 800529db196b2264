/**
 * Sessions on a real engine, as in the daemon: container layer, pool and storage. All events are recorded in one log, in
 * their order and with the name of their session: `container:started dev`, `session:created dev`, …
 */
import { CONTAINER_EVENT_NAMES } from "../../../src/containers/changes/container_events.ts";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { AttachRequest } from "../../../src/sessions/attach_request.ts";
import { ContainerTerminals } from "../../../src/sessions/container_terminals.ts";
import { SESSION_EVENT_NAMES } from "../../../src/sessions/session.ts";
import { SessionPool } from "../../../src/sessions/session_pool.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { within } from "../within.ts";
import { TestClient } from "./test_client.ts";

const WITHIN_MS = 20_000;

export interface SessionBedOptions {
  readonly socketPath: string;
  /** The path of the database. */
  readonly path?: string;
  /** The id of the apex instance; by default the same for all beds. */
  readonly instance?: string;
  readonly clock?: Clock;
  readonly killGraceMs?: number;
}

export class SessionBed implements AsyncDisposable {
  readonly pool: SessionPool;
  readonly containers: ContainerManager;
  readonly client: EngineClient;
  readonly log: string[] = [];
  readonly #clock: Clock;
  readonly #names = new Map<string, string>();
  readonly #waiting = new Set<() => void>();
  readonly #stack: AsyncDisposableStack;
  #attached = 0;

  private constructor(stack: AsyncDisposableStack, options: SessionBedOptions) {
    const { socketPath, path = ":memory:", clock = systemClock, killGraceMs = 0 } = options;
    const { instance = "0123456789abcdef" } = options;
    this.#clock = clock;
    this.client = stack.use(new EngineClient({ socketPath }));
    const storage = stack.use(openStorage({ path, clock, logger: silentLogger }));
    const client = this.client;
    this.containers = stack.use(
      new ContainerManager({ client, clock: systemClock, logger: silentLogger, instance }),
    );
    for (const name of CONTAINER_EVENT_NAMES) {
      if (name === "container:health") continue;
      this.containers.on(name, (event) => {
        if (!event.success) return this.#record(`failed:${event.operation}`);
        const { containerId, containerName } = event;
        const session = this.containers.find(containerId)?.labels["apex.session"];
        if (session !== undefined) this.#names.set(containerId, session);
        this.#record(`${name} ${this.#names.get(containerId) ?? containerName.replace("apex-session-", "")}`);
      });
    }
    this.pool = stack.use(
      new SessionPool({
        containers: this.containers,
        terminals: new ContainerTerminals({ client, clock: systemClock }),
        store: storage.sessions,
        clock,
        logger: silentLogger,
        config: {
          image: "busybox:local",
          cmd: ["sh"],
          scrollbackLines: 1_000,
          killGraceMs,
          restore: { kind: "screen" },
        },
      }),
    );
    for (const name of SESSION_EVENT_NAMES) {
      this.pool.on(name, (event) => this.#record(`${name} ${event.session}`));
    }
    this.#stack = stack;
  }

  /** Resolves when the engine's containers and its sessions are known. */
  static async open(options: SessionBedOptions): Promise<SessionBed> {
    const bed = new SessionBed(new AsyncDisposableStack(), options);
    bed.containers.follow();
    await within(WITHIN_MS, "the engine's sessions", bed.pool.ready());
    return bed;
  }

  /** Attaches a client and serves it. The test disposes it. */
  async attach(request: AttachRequest, size: { columns?: number; rows?: number } = {}): Promise<TestClient> {
    const client = new TestClient({ clock: this.#clock, pid: 1_000 + ++this.#attached, ...size });
    const attaching = this.pool.attach({ network: "none", ...request }, client.client);
    await within(WITHIN_MS, `an attach to ${request.name}`, attaching);
    return client.serve();
  }

  /** Returns the events of a session and its containers: `created`, `started`, `session:created`, … */
  of(name: string): string[] {
    return this.log.filter((line) => line.endsWith(` ${name}`))
      .map((line) => line.slice(0, -name.length - 1).replace("container:", ""));
  }

  /** Returns the session events of one session: `created`, `attached`, … */
  sessionEvents(name: string): string[] {
    return this.of(name).filter((word) => word.startsWith("session:")).map((word) => word.slice(8));
  }

  /** Waits until the log has a line `times` times. */
  async until(line: string, times = 1): Promise<void> {
    const became = Promise.withResolvers<void>();
    const wake = (): void => {
      if (this.log.filter((each) => each === line).length >= times) became.resolve();
    };
    this.#waiting.add(wake);
    wake();
    try {
      await within(WITHIN_MS, line, became.promise);
    } catch (cause) {
      throw new Error(`no event ${line}; the log so far:\n${this.log.join("\n")}`, { cause });
    } finally {
      this.#waiting.delete(wake);
    }
  }

  /** Creates and kills another session. After that, all events of earlier changes are in the log. */
  async fence(): Promise<void> {
    const name = `fence-${this.log.length}`;
    await this.attach({ name, background: true });
    await this.pool.kill(name);
    await this.until(`container:removed ${name}`);
  }

  containerIdOf(name: string): string {
    const found = this.pool.list().find((session) => session.name === name);
    if (found === undefined) throw new Error(`no session ${name}`);
    return found.containerId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(30_000, "the end of a bed", this.#stack.disposeAsync());
  }

  #record(line: string): void {
    this.log.push(line);
    for (const wake of this.#waiting) wake();
  }
}
