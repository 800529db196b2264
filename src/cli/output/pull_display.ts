/**
 * Shows the progress of an image pull. On a terminal it is one line that is redrawn, and erased at the end; elsewhere each
 * change of a layer's status is a line of its own.
 */
import type { PullProgressPayload } from "../../protocol/task_operations.ts";
import type { Output } from "../standard_streams.ts";
import { printable } from "./table.ts";

interface Layer {
  readonly currentBytes: number;
  readonly totalBytes: number;
}

const BAR_COLUMNS = 24;
const DEFAULT_COLUMNS = 80;
/** Moves the cursor to the start of the line, and erases the line. */
const ERASE = "\r\x1b[K";
const MIB = 1024 * 1024;

export class PullDisplay implements AsyncDisposable {
  readonly #output: Output;
  readonly #layers = new Map<string, Layer>();
  readonly #printed = new Set<string>();
  /** The largest share shown so far: a newly announced layer must not move the bar back. */
  #furthest = 0;
  #isDrawn = false;

  constructor(output: Output) {
    this.#output = output;
  }

  async update(progress: PullProgressPayload): Promise<void> {
    this.#note(progress);
    if (this.#output.isTerminal) await this.#draw(progress);
    else await this.#printOnce(progress);
  }

  /** Erases the line, so that other output can follow. */
  async clear(): Promise<void> {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    await this.#output.write(new TextEncoder().encode(ERASE));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
  }

  #note({ layer, status, currentBytes, totalBytes }: PullProgressPayload): void {
    if (layer === undefined) return;
    if (status === "Downloading" && totalBytes !== undefined) {
      this.#layers.set(layer, { currentBytes: Math.min(currentBytes ?? 0, totalBytes), totalBytes });
      return;
    }
    // Every later status (verifying, extracting, complete) implies a finished download.
    const known = this.#layers.get(layer);
    if (known !== undefined) this.#layers.set(layer, { ...known, currentBytes: known.totalBytes });
  }

  async #draw({ image, status }: PullProgressPayload): Promise<void> {
    let current = 0;
    let total = 0;
    for (const layer of this.#layers.values()) {
      current += layer.currentBytes;
      total += layer.totalBytes;
    }
    const state = total === 0 ? printable(status) : this.#bar(current, total);
    const line = `apex: pulling ${printable(image)} ${state}`;
    this.#isDrawn = true;
    // A line that wraps cannot be erased.
    const columns = (this.#output.columns ?? DEFAULT_COLUMNS) - 1;
    await this.#output.write(new TextEncoder().encode(ERASE + line.slice(0, columns)));
  }

  #bar(current: number, total: number): string {
    this.#furthest = Math.max(this.#furthest, current / total);
    const filled = Math.floor(this.#furthest * BAR_COLUMNS);
    const bar = "#".repeat(filled) + "-".repeat(BAR_COLUMNS - filled);
    const percent = `${Math.floor(this.#furthest * 100)}%`.padStart(4);
    return `[${bar}] ${percent} of ${(total / MIB).toFixed(1)} MiB`;
  }

  async #printOnce({ image, layer, status }: PullProgressPayload): Promise<void> {
    const parts = layer === undefined ? [image, status] : [image, layer, status];
    const line = `apex: pulling ${parts.map(printable).join(": ")}`;
    if (this.#printed.has(line)) return;
    this.#printed.add(line);
    await this.#output.print(line);
  }
}
