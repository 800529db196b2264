/**
 * Shows how far an image's pull is: on a terminal one line that is drawn anew, and wiped when all is done; elsewhere each
 * change of a layer's status once, as a line of its own.
 */
import type { PullProgress } from "../../client/frame_payloads.ts";
import type { Output } from "./output.ts";
import { printable } from "./table.ts";

interface Layer {
  readonly currentBytes: number;
  readonly totalBytes: number;
}

const BAR_COLUMNS = 24;
const DEFAULT_COLUMNS = 80;
/** To the line's beginning, and wipe it. */
const WIPE = "\r\x1b[K";
const MIB = 1024 * 1024;

export class PullDisplay implements AsyncDisposable {
  readonly #output: Output;
  readonly #layers = new Map<string, Layer>();
  readonly #told = new Set<string>();
  /** Layers become known one after another; that must not drive the bar back. */
  #furthest = 0;
  #isDrawn = false;

  constructor(output: Output) {
    this.#output = output;
  }

  async update(progress: PullProgress): Promise<void> {
    this.#note(progress);
    if (this.#output.isTerminal) await this.#draw(progress);
    else await this.#tell(progress);
  }

  /** Leaves nothing on the screen; other output may follow. */
  async clear(): Promise<void> {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    await this.#output.write(new TextEncoder().encode(WIPE));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
  }

  #note({ layer, status, currentBytes, totalBytes }: PullProgress): void {
    if (layer === undefined) return;
    if (status === "Downloading" && totalBytes !== undefined) {
      this.#layers.set(layer, { currentBytes: Math.min(currentBytes ?? 0, totalBytes), totalBytes });
      return;
    }
    // Whatever follows the download (verifying, extracting, complete) means that all of it is here.
    const known = this.#layers.get(layer);
    if (known !== undefined) this.#layers.set(layer, { ...known, currentBytes: known.totalBytes });
  }

  async #draw({ image, status }: PullProgress): Promise<void> {
    let current = 0;
    let total = 0;
    for (const layer of this.#layers.values()) {
      current += layer.currentBytes;
      total += layer.totalBytes;
    }
    const how = total === 0 ? printable(status) : this.#bar(current, total);
    const line = `apex: pulling ${printable(image)} ${how}`;
    this.#isDrawn = true;
    // A line that wraps could not be wiped.
    const columns = (this.#output.columns ?? DEFAULT_COLUMNS) - 1;
    await this.#output.write(new TextEncoder().encode(WIPE + line.slice(0, columns)));
  }

  #bar(current: number, total: number): string {
    this.#furthest = Math.max(this.#furthest, current / total);
    const filled = Math.floor(this.#furthest * BAR_COLUMNS);
    const bar = "#".repeat(filled) + "-".repeat(BAR_COLUMNS - filled);
    const percent = `${Math.floor(this.#furthest * 100)}%`.padStart(4);
    return `[${bar}] ${percent} of ${(total / MIB).toFixed(1)} MiB`;
  }

  async #tell({ image, layer, status }: PullProgress): Promise<void> {
    const line = `apex: pulling ${printable(image)}: ${layer === undefined ? "" : `${printable(layer)}: `}${
      printable(status)
    }`;
    if (this.#told.has(line)) return;
    this.#told.add(line);
    await this.#output.print(line);
  }
}
