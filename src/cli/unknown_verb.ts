import { closestName } from "../platform/closest_name.ts";

/** They end or remove something: a slip of the hand must not be one key away from them. */
const DESTRUCTIVE = ["cancel", "clean", "kill", "restart", "stop"];

/** What to say of a verb that does not exist, with the verb that was probably meant. @param verbs that exist */
export function unknownVerb(word: string, verbs: readonly string[]): string {
  const meant = closestName(word, verbs);
  const isHarmless = meant !== undefined && !DESTRUCTIVE.includes(meant);
  return `unknown verb '${word}'${isHarmless ? `\n(did you mean ${meant}?)` : ""}`;
}
