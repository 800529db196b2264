import { EngineError } from "./engine_error.ts";

/**
 * The newest API version that apex speaks. Engines refuse what is newer than themselves and keep older versions for
 * years, so the lower of the two is asked for. 1.51 is the last before 1.52 took fields out of `/events` and gave it other
 * framings; apex reads both, and needs nothing newer.
 */
const NEWEST = "1.51";
/** Docker 19.03 and Podman 3; below it apex has been tested with nothing. */
const OLDEST = "1.40";

/**
 * The API version to prefix requests with.
 * @param theirs the `Api-Version` header of `/_ping`
 * @param place the engine's socket, for the message
 * @throws {EngineError} when it is too old, or says none
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
