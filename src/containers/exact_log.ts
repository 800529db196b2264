import type { EngineClient } from "../engine/engine_client.ts";
import { EngineError } from "../engine/engine_error.ts";
import type { EngineIdentity } from "../engine/engine_types.ts";

/** As large as a json-file log may grow, which has no bound either; one file, so that nothing is rotated away unread. */
const LOCAL_LOG = { Type: "local", Config: { "max-file": "1", "max-size": "1000g", "compress": "false" } };

/**
 * Which log keeps a container's output byte for byte. Docker's usual one, json-file, keeps text: a byte that is not UTF-8
 * comes back as U+FFFD, so that `apex run -i -- gzip` would write archives that nobody can read. Its `local` log keeps bytes.
 * Another log that the engine's owner has chosen is left alone. Podman's log keeps bytes.
 */
export class ExactLog {
  readonly #client: EngineClient;
  /** By engine: one that comes back may be configured otherwise. */
  readonly #configs = new WeakMap<EngineIdentity, Promise<typeof LOCAL_LOG | undefined>>();

  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** For `HostConfig.LogConfig`; undefined: the engine's own choice. */
  async config(): Promise<typeof LOCAL_LOG | undefined> {
    try {
      const identity = await this.#client.identify();
      if (identity.kind !== "docker") return undefined;
      let config = this.#configs.get(identity);
      if (config === undefined) this.#configs.set(identity, config = this.#ask());
      return await config;
    } catch (error) {
      // An engine that does not answer says why when it is asked for the container.
      if (error instanceof EngineError) return undefined;
      throw error;
    }
  }

  async #ask(): Promise<typeof LOCAL_LOG | undefined> {
    const { LoggingDriver } = await this.#client.info();
    return LoggingDriver === "json-file" ? LOCAL_LOG : undefined;
  }
}
