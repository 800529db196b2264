import { ApexError } from "../../platform/apex_error.ts";
import { randomHex } from "../../platform/random_hex.ts";

/** Another process may take a name between the look at the registry and the creation. */
const MAX_ATTEMPTS = 5;
const SUFFIX_BYTES = 2;

export interface FreeNameOptions<T> {
  /** Whether the registry knows a container of that name. */
  readonly isTaken: (name: string) => boolean;
  readonly create: (name: string) => Promise<T>;
}

/**
 * Creates a container as `plainName`, or, if that name is taken, with a random suffix. Before it first awaits, it calls
 * `create`. Labels say which task or session a container belongs to, so the suffix is only for people.
 * @throws what `create` throws, except for the first refusals of a name
 */
export async function createUnderFreeName<T>(plainName: string, options: FreeNameOptions<T>): Promise<T> {
  const { isTaken, create } = options;
  const refused = new Set<string>();
  while (true) {
    let name = plainName;
    while (refused.has(name) || isTaken(name)) name = `${plainName}-${randomHex(SUFFIX_BYTES)}`;
    try {
      return await create(name);
    } catch (error) {
      refused.add(name);
      if (!isNameTaken(error) || refused.size === MAX_ATTEMPTS) throw error;
    }
  }
}

/** Podman's status for this refusal is 500. */
function isNameTaken(error: unknown): boolean {
  return error instanceof ApexError && /\bname\b.*\balready in use\b/i.test(error.message);
}
