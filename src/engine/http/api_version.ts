import { EngineError } from "./engine_error.ts";

/**
 * The newest API version that apex uses. Engines refuse versions newer than their own and support older ones for years,
 * so apex asks for the lower of the two. 1.52 removed fields from `/events` and changed its framing; apex reads both,
 * but needs nothing newer than 1.51.
 */
const NEWEST = "1.51";
/** Docker 19.03 and Podman 3. Older engines are untested. */
const OLDEST = "1.40";

/**
 * Returns the API version to prefix requests with.
 * @param theirs the `Api-Version` header of `/_ping`
 * @param place the engine's socket, for messages
 * @throws {EngineError} when the version is too old or missing
 */
export function negotiateApiVersion(theirs: string | null, place: string): string {
  if (theirs === null || !/^\d{1,3}\.\d{1,3}$/.test(theirs)) {
    throw new EngineError(`${place} is not a container engine: its answer names no API version`);
  }
  if (compare(theirs, OLDEST) < 0) {
    throw new EngineError(
      `the engine at ${place} is too old: its API is ${theirs}, apex needs ${OLDEST} (Docker 19.03, Podman 3) or newer`,
    );
  }
  return compare(theirs, NEWEST) < 0 ? theirs : NEWEST;
}

function compare(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}
