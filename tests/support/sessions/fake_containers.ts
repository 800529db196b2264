/**
 * A container layer without an engine. Its containers consist of their state only, and their terminals are pipes in memory.
 * As with a real engine, events lag behind replies: an operation changes the state immediately, but its event waits in a
 * queue until the test delivers it, and only then do `find` and `list` return the new state.
 */
import type { ManagerEvents } from "../../../src/containers/changes/container_events.ts";
import type { ContainerRecord } from "../../../src/containers/container_record.ts";
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import type { AttachConnection } from "../../../src/engine/attach_connection.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { type ListenerOf, TypedEmitter } from "../../../src/platform/typed_emitter.ts";
import type { SessionContainers } from "../../../src/sessions/session_services.ts";

type EventName =
  | "container:created"
  | "container:started"
  | "container:stopped"
  | "container:died"
  | "container:removed";

const LF = 0x0a;

interface QueuedEvent {
  readonly name: EventName;
  readonly id: string;
  readonly exitCode?: number;
}

interface FakeContainer {
  readonly id: string;
  readonly spec: ContainerSpec;
  state: "created" | "running" | "exited";
  exitCode: number;
  readonly output: Uint8Array[];
  readonly pipes: Set<FakePipe>;
}

export class FakeContainers {
  readonly #emitter = new TypedEmitter<ManagerEvents>((error) => this.listenerErrors.push(error));
  /** The containers of the engine. */
  readonly containers = new Map<string, FakeContainer>();
  /** The containers according to the delivered events. */
  readonly #registry = new Map<string, ContainerRecord>();
  readonly #queue: QueuedEvent[] = [];
  readonly listenerErrors: unknown[] = [];
  /** The errors with which the next calls fail, by operation. */
  readonly failures = new Map<"create" | "start" | "stop" | "kill" | "remove" | "attach", Error>();
  /** Awaited before each operation takes effect, so that a test can decide about the interleaving. */
  beforeEach: () => Promise<void> = () => Promise.resolve();
  /** The event that is being delivered. */
  current: QueuedEvent | undefined;
  isCaughtUp = true;
  /** Returns whether this instance created the container: always, unless a test replaces it. */
  owns: (id: string) => boolean = () => true;
  #nextId = 1;

  /** This object, with the type that the pool expects. */
  asContainers(): SessionContainers {
    return this as unknown as SessionContainers;
  }

  on<N extends keyof ManagerEvents>(name: N, listener: ListenerOf<ManagerEvents, N>): () => void {
    return this.#emitter.on(name, listener);
  }

  listenerCount(): number {
    return this.#emitter.listenerCount();
  }

  connect(): void {
    this.#emitter.emit("engine:connected", { engine: "docker", version: "0", timestamp: new Date(0) });
  }

  list(): ContainerRecord[] {
    return [...this.#registry.values()];
  }

  find(nameOrId: string): ContainerRecord | undefined {
    return this.#registry.get(nameOrId) ?? this.list().find(({ name }) => name === nameOrId);
  }

  async create(spec: ContainerSpec): Promise<{ id: string; name: string; warnings: string[] }> {
    await this.#operation("create");
    for (const other of this.containers.values()) {
      if (other.spec.name === spec.name) {
        throw new EngineError(`The container name "/${spec.name}" is already in use`, { status: 409 });
      }
    }
    const id = String(this.#nextId++).padStart(64, "0");
    this.containers.set(id, { id, spec, state: "created", exitCode: 0, output: [], pipes: new Set() });
    this.#queue.push({ name: "container:created", id });
    return { id, name: spec.name ?? "", warnings: [] };
  }

  async start(id: string): Promise<void> {
    await this.#operation("start");
    const container = this.#existing(id);
    if (container.state === "running") return;
    container.state = "running";
    this.#queue.push({ name: "container:started", id });
  }

  async stop(id: string): Promise<void> {
    await this.#operation("stop");
    this.#ends(this.#existing(id), { name: "container:stopped", exitCode: 143 });
  }

  /** Every signal ends the container. */
  async kill(id: string): Promise<void> {
    await this.#operation("kill");
    this.#ends(this.#existing(id), { name: "container:died", exitCode: 143 });
  }

  async remove(id: string): Promise<void> {
    await this.#operation("remove");
    const container = this.#existing(id);
    this.#ends(container, { name: "container:died", exitCode: 137 });
    this.containers.delete(id);
    for (const pipe of container.pipes) pipe.end();
    this.#queue.push({ name: "container:removed", id });
  }

  async inspect(id: string): Promise<never> {
    await this.beforeEach();
    const { state, exitCode, spec } = this.#existing(id);
    return {
      State: { Running: state === "running", ExitCode: exitCode },
      Config: { Tty: spec.tty },
    } as never;
  }

  /** Ends the container's command. */
  exit(id: string, exitCode = 0): void {
    const container = this.containers.get(id);
    if (container !== undefined) this.#ends(container, { name: "container:died", exitCode });
  }

  /** Writes output of the container's command to its terminal. */
  print(id: string, text: string): void {
    const container = this.#existing(id);
    const bytes = new TextEncoder().encode(text);
    container.output.push(bytes);
    for (const pipe of container.pipes) pipe.push(bytes);
  }

  /** Ends the container's attach streams; the container continues. */
  cutStreams(id: string): void {
    for (const pipe of this.#existing(id).pipes) pipe.end();
  }

  /** Returns the input of all streams. */
  typedInto(id: string): string {
    return [...this.#existing(id).pipes].map(({ typed }) => typed).join("");
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Delivers the oldest queued event. */
  deliver(): void {
    const event = this.#queue.shift();
    if (event === undefined) return;
    const { name, id, exitCode = 0 } = event;
    const spec = this.#specs.get(id) ?? this.#existing(id).spec;
    this.#specs.set(id, spec);
    const base = {
      containerId: id,
      containerName: spec.name ?? "",
      image: spec.image,
      timestamp: new Date(0),
      success: true,
    } as const;
    const record = { id, name: spec.name ?? "", image: spec.image, labels: spec.labels ?? {} };
    this.current = event;
    switch (name) {
      case "container:created":
        this.#registry.set(id, { ...record, state: "created" });
        this.#emitter.emit(name, base);
        break;
      case "container:started":
        this.#registry.set(id, { ...record, state: "running" });
        this.#emitter.emit(name, base);
        break;
      case "container:stopped":
        this.#registry.set(id, { ...record, state: "exited", exitCode });
        this.#emitter.emit(name, { ...base, exitCode, graceful: true });
        break;
      case "container:died":
        this.#registry.set(id, { ...record, state: "exited", exitCode });
        this.#emitter.emit(name, { ...base, exitCode, oomKilled: false });
        break;
      case "container:removed":
        this.#registry.delete(id);
        this.#emitter.emit(name, base);
        break;
    }
    this.current = undefined;
  }

  /** The terminals, with the type that the pool expects. */
  readonly terminals = {
    engineId: () => Promise.resolve("ENGINE"),
    attach: async (id: string): Promise<AttachConnection> => {
      await this.#operation("attach");
      const container = this.#existing(id);
      const pipe = new FakePipe(() => container.pipes.delete(pipe));
      container.pipes.add(pipe);
      if (container.state === "exited") pipe.end();
      return pipe;
    },
    attachRunning: async (id: string): Promise<AttachConnection> => {
      const pipe = await this.terminals.attach(id);
      if (this.#existing(id).state === "running") return pipe;
      pipe[Symbol.dispose]();
      throw new EngineError(`container ${id} does not run`, { code: "conflict" });
    },
    // Whole lines only, as Docker logs them.
    tail: (id: string): Promise<Uint8Array> => {
      const printed = this.#existing(id).output.flatMap((bytes) => [...bytes]);
      return Promise.resolve(new Uint8Array(printed.slice(0, printed.lastIndexOf(LF) + 1)));
    },
    resize: (): Promise<void> => Promise.resolve(),
  };

  /** Specifications of containers for which events may still be queued. */
  readonly #specs = new Map<string, ContainerSpec>();

  #ends(container: FakeContainer, how: Pick<QueuedEvent, "name" | "exitCode">): void {
    this.#specs.set(container.id, container.spec);
    if (container.state !== "running") return;
    container.state = "exited";
    container.exitCode = how.exitCode ?? 0;
    for (const pipe of container.pipes) pipe.end();
    this.#queue.push({ id: container.id, ...how });
  }

  async #operation(name: "create" | "start" | "stop" | "kill" | "remove" | "attach"): Promise<void> {
    await this.beforeEach();
    const failure = this.failures.get(name);
    this.failures.delete(name);
    if (failure !== undefined) throw failure;
  }

  #existing(id: string): FakeContainer {
    const container = this.containers.get(id);
    if (container === undefined) throw new EngineError(`No such container: ${id}`, { status: 404 });
    return container;
  }
}

/** One attach stream in memory. */
class FakePipe implements AttachConnection {
  readonly #chunks: Uint8Array[] = [];
  readonly #onEnd: () => void;
  #hasEnded = false;
  #wake = Promise.withResolvers<void>();
  typed = "";

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#wake.resolve();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake.resolve();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (true) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        buffer.set(chunk);
        return chunk.length;
      }
      if (this.#hasEnded) return null;
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#hasEnded) return Promise.reject(new EngineError("the container has closed its input"));
    this.typed += new TextDecoder().decode(bytes);
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.end();
    this.#onEnd();
  }
}
