/** Prints the tables and verdicts of the bench on stdout. */

/** A ratio and its target. */
export interface Verdict {
  readonly ratio: number | undefined;
  readonly target: number;
  /** Whether the target is a minimum (`atLeast`) or a maximum (`atMost`). */
  readonly bound: "atLeast" | "atMost";
}

const encoder = new TextEncoder();

export function print(text: string): void {
  // Synchronous, so that no line is lost when the bench ends.
  let rest = encoder.encode(`${text}\n`);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

/** Returns a verdict such as `2.31x (>= 1.5) PASS`. */
export function verdictOf({ ratio, target, bound }: Verdict): string {
  if (ratio === undefined) return "no cc";
  const met = bound === "atLeast" ? ratio >= target : ratio <= target;
  return `${ratio.toFixed(2)}x (${bound === "atLeast" ? ">=" : "<="} ${target}) ${met ? "PASS" : "MISS"}`;
}

/** Prints rows under a head, with right-aligned columns. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  for (const row of [head, widths.map((width) => "-".repeat(width)), ...rows]) {
    print(row.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param part 0.99 for the 99th percentile */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
