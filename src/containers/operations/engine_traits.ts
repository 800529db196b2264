import type { EngineClient } from "../../engine/engine_client.ts";
import type { EngineIdentity } from "../../engine/engine_types.ts";
import { EngineError } from "../../engine/http/engine_error.ts";

/** As large as a json-file log may grow, which is unbounded too. One file, so that rotation deletes nothing unread. */
const LOCAL_LOG = { Type: "local", Config: { "max-file": "1", "max-size": "1000g", "compress": "false" } };

/** Properties of an engine on which the body of a create request depends. */
export interface EngineTraits {
  /** False for the embedded engine: its containers see this machine's files at their own paths. */
  readonly canMount: boolean;
  /** The engine has an init to run as a container's process 1, and needs it. */
  readonly hasInit: boolean;
  /**
   * `HostConfig.LogConfig` of a log that keeps output byte for byte, where the engine's default log does not. Docker's
   * default, json-file, replaces bytes that are not UTF-8 by U+FFFD, which would garble the output of
   * `apex run -i -- gzip`. Its `local` log keeps them, as Podman's log does. A log that the administrator chose is used
   * unchanged.
   */
  readonly exactLog?: typeof LOCAL_LOG;
}

/** Of an engine that cannot be reached: the create request fails with its reason. */
export const UNKNOWN_TRAITS: EngineTraits = { canMount: true, hasInit: false };

/** Asks an engine for its traits, once per connection: an engine that restarts may be configured differently. */
export class KnownTraits {
  readonly #client: EngineClient;
  /** Each connection has its own identity object. */
  readonly #known = new WeakMap<EngineIdentity, Promise<EngineTraits>>();

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async get(): Promise<EngineTraits> {
    try {
      const identity = await this.#client.identify();
      let traits = this.#known.get(identity);
      if (traits === undefined) this.#known.set(identity, traits = this.#ask(identity));
      return await traits;
    } catch (error) {
      if (error instanceof EngineError) return UNKNOWN_TRAITS;
      throw error;
    }
  }

  /** The engine has refused to create a container with an init, because it has no init. */
  async lacksInit(): Promise<void> {
    const traits = await this.get();
    this.#known.set(await this.#client.identify(), Promise.resolve({ ...traits, hasInit: false }));
  }

  async #ask({ kind }: EngineIdentity): Promise<EngineTraits> {
    // A command of the embedded engine is not process 1: signals reach it, and the machine's own init reaps orphans.
    if (kind === "embedded") return { canMount: false, hasInit: false };
    // Podman shows that it has no init only when it refuses to create a container with one.
    if (kind === "podman") return { canMount: true, hasInit: true };
    const { LoggingDriver, InitCommit } = await this.#client.info();
    return {
      canMount: true,
      // Docker names its init whether or not it is installed, but has a commit of it only if it is.
      hasInit: InitCommit?.ID !== undefined && InitCommit.ID !== "N/A",
      ...(LoggingDriver === "json-file" && { exactLog: LOCAL_LOG }),
    };
  }
}
