import type { EngineClient } from "../../engine/engine_client.ts";
import type { EngineIdentity } from "../../engine/engine_types.ts";
import { EngineError } from "../../engine/http/engine_error.ts";

/** As large as a json-file log may grow, which has no bound either; one file, so that nothing is rotated away unread. */
const LOCAL_LOG = { Type: "local", Config: { "max-file": "1", "max-size": "1000g", "compress": "false" } };

/** What of a container's description depends on the engine that makes it. */
export interface EngineTraits {
  /** False for the embedded engine: its containers see this machine's files where they are. */
  readonly canMount: boolean;
  /** It has an init to run as a container's process 1, and a use for it. */
  readonly hasInit: boolean;
  /**
   * `HostConfig.LogConfig` of a log that keeps output byte for byte, where the engine's own does not. Docker's usual one,
   * json-file, keeps text: a byte that is not UTF-8 comes back as U+FFFD, so that `apex run -i -- gzip` would write archives
   * that nobody can read. Its `local` log keeps bytes. Another log that the engine's owner has chosen is left alone.
   * Podman's log keeps bytes.
   */
  readonly exactLog?: typeof LOCAL_LOG;
}

/** Of an engine that nobody could ask: it says why when it is asked for the container. */
export const UNKNOWN_TRAITS: EngineTraits = { canMount: true, hasInit: false };

/** Asks an engine for its traits, once for each connection: one that comes back may be configured otherwise. */
export class KnownTraits {
  readonly #client: EngineClient;
  /** Each connection has an identity of its own. */
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

  /** The engine has refused to make a container with an init, because it has none. */
  async lacksInit(): Promise<void> {
    const traits = await this.get();
    this.#known.set(await this.#client.identify(), Promise.resolve({ ...traits, hasInit: false }));
  }

  async #ask({ kind }: EngineIdentity): Promise<EngineTraits> {
    // A command of the embedded engine is not process 1: signals reach it, and the machine's own init reaps.
    if (kind === "embedded") return { canMount: false, hasInit: false };
    // Podman says whether it has an init only when it is asked for a container with one.
    if (kind === "podman") return { canMount: true, hasInit: true };
    const { LoggingDriver, InitCommit } = await this.#client.info();
    return {
      canMount: true,
      // Docker names its init whether or not it is installed, but cannot say its version if it is not.
      hasInit: InitCommit?.ID !== undefined && InitCommit.ID !== "N/A",
      ...(LoggingDriver === "json-file" && { exactLog: LOCAL_LOG }),
    };
  }
}
