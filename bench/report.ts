/** Tables and verdicts of the bench, on stdout. */

/** A ratio beside the figure that it is held against. */
export interface Verdict {
  readonly ratio: number | undefined;
  readonly target: number;
  /** `atLeast`: more is better. `atMost`: less is. */
  readonly bound: "atLeast" | "atMost";
}

const encoder = new TextEncoder();

export function print(text: string): void {
  // Synchronous on purpose: a bench has nothing better to do, and its lines must not be lost.
  let rest = encoder.encode(`${text}\n`);
  while (rest.length > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
}

/** `2.31x (>= 1.5) PASS` */
export function verdictOf({ ratio, target, bound }: Verdict): string {
  if (ratio === undefined) return "no cc";
  const met = bound === "atLeast" ? ratio >= target : ratio <= target;
  return `${ratio.toFixed(2)}x (${bound === "atLeast" ? ">=" : "<="} ${target}) ${met ? "PASS" : "MISS"}`;
}

/** Prints rows under a head, columns aligned to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  for (const row of [head, widths.map((width) => "-".repeat(width)), ...rows]) {
    print(row.map((cell, column) => cell.padStart(widths[column]!)).join("  "));
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param part 0.99 for p99 */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
