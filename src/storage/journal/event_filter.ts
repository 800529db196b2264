/** What an event is about, as far as filters ask. */
export interface EventFacts {
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  readonly containerName: string | undefined;
}

export interface EventFilterOptions {
  /** Globs of types, `container.*` for example; `*` stands for any text. One that matches is enough; all by default. */
  readonly types?: readonly string[];
  readonly taskId?: string;
  /** The exact name of a container, or a prefix of its id ({@linkcode MIN_ID_PREFIX} digits at least). */
  readonly container?: string;
}

/** Shorter, it is a name: `db` must not match every 256th container. */
export const MIN_ID_PREFIX = 4;

/** Chooses events. What is asked of types, task and container must all be so. */
export class EventFilter {
  /** Of its options: queries find the rows of one task by an index. */
  readonly taskId: string | undefined;
  readonly #types: readonly RegExp[] | undefined;
  readonly #container: string | undefined;
  /** The types that there are: few, so none is matched twice. */
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
  // A run of stars is one: else the match could take exponential time.
  const parts = glob.split(/\*+/).map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}
