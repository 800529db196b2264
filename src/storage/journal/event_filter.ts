/** The fields of an event that filters examine. */
export interface EventFacts {
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  readonly containerName: string | undefined;
}

export interface EventFilterOptions {
  /** Globs of types, such as `container.*`; `*` matches any text. One of them must match; all types match by default. */
  readonly types?: readonly string[];
  readonly taskId?: string;
  /** The exact name of a container, or a prefix of its id of at least {@linkcode MIN_ID_PREFIX} digits. */
  readonly container?: string;
}

/** A shorter text is a name: `db` must not match every 256th container. */
export const MIN_ID_PREFIX = 4;

/** Selects events. An event must match the types, the task and the container. */
export class EventFilter {
  /** Public for queries, which find the rows of one task with an index. */
  readonly taskId: string | undefined;
  readonly #types: readonly RegExp[] | undefined;
  readonly #container: string | undefined;
  /** By type: only a few types exist, so each is matched once. */
  readonly #verdicts = new Map<string, boolean>();

  constructor({ types, taskId, container }: EventFilterOptions) {
    this.taskId = taskId;
    this.#types = types?.map(globOf);
    this.#container = container;
  }

  matches(event: EventFacts): boolean {
    if (this.taskId !== undefined && event.taskId !== this.taskId) return false;
    return this.#matchesType(event.type) && this.#matchesContainer(event);
  }

  #matchesType(type: string): boolean {
    if (this.#types === undefined) return true;
    let verdict = this.#verdicts.get(type);
    if (verdict === undefined) {
      verdict = this.#types.some((glob) => glob.test(type));
      this.#verdicts.set(type, verdict);
    }
    return verdict;
  }

  #matchesContainer(event: EventFacts): boolean {
    const wanted = this.#container;
    if (wanted === undefined) return true;
    if (wanted.length >= MIN_ID_PREFIX && event.containerId?.startsWith(wanted)) return true;
    return event.containerName === wanted;
  }
}

function globOf(glob: string): RegExp {
  // Consecutive stars are one star: otherwise matching could take exponential time.
  const parts = glob.split(/\*+/).map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}
