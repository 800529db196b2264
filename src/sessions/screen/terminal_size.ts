/** How large a terminal is, in character cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };
/** The emulator knows no narrower terminal. */
const MIN_COLUMNS = 2;
/** Twelve bytes a cell: what a client says must not decide over the daemon's memory. */
const MAX_CELLS_A_SIDE = 1_024;

/** A size that a terminal can have, nearest to the one asked for; 80 × 24 where there is none, as in a pipe. */
export function terminalSize({ columns, rows }: TerminalSize): TerminalSize {
  return {
    columns: within(columns, { least: MIN_COLUMNS, otherwise: DEFAULT_SIZE.columns }),
    rows: within(rows, { least: 1, otherwise: DEFAULT_SIZE.rows }),
  };
}

function within(
  cells: number,
  { least, otherwise }: { readonly least: number; readonly otherwise: number },
): number {
  if (!(cells >= 1)) return otherwise;
  return Math.min(Math.max(Math.floor(cells), least), MAX_CELLS_A_SIDE);
}
