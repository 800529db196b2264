import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * The name that `word` was most likely meant to be. Undefined where none is close: more than a third of the letters
 * wrong is another word, not a slip. Swapped letters (`rnu`) count as one.
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
