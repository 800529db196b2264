import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * Returns the name that `word` was probably meant to be. Undefined when no name is close: with more than a third of the
 * letters wrong, it is a different word. Two swapped letters (`rnu`) count as one mistake.
 */
export function closestName(word: string, names: readonly string[]): string | undefined {
  const closest = names
    .map((name) => ({ name, distance: distanceBetween(word, name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (closest === undefined || closest.distance > Math.ceil(closest.name.length / 3)) return undefined;
  return closest.name;
}

function distanceBetween(a: string, b: string): number {
  const distance = levenshteinDistance(a, b);
  return distance === 2 && lettersOf(a) === lettersOf(b) ? 1 : distance;
}

function lettersOf(word: string): string {
  return [...word].sort().join("");
}
