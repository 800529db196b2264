/** The size of a terminal, in character cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };
/** The emulator supports no narrower terminal. */
const MIN_COLUMNS = 2;
/** A cell takes twelve bytes: clients must not be able to exhaust the daemon's memory. */
const MAX_CELLS_A_SIDE = 1_024;

/** Clamps a size to the supported range. A side that is not a positive number (as for a pipe) becomes that of 80 × 24. */
export function terminalSize({ columns, rows }: TerminalSize): TerminalSize {
  return {
    columns: clamp(columns, { min: MIN_COLUMNS, fallback: DEFAULT_SIZE.columns }),
    rows: clamp(rows, { min: 1, fallback: DEFAULT_SIZE.rows }),
  };
}

function clamp(
  cells: number,
  { min, fallback }: { readonly min: number; readonly fallback: number },
): number {
  if (!(cells >= 1)) return fallback;
  return Math.min(Math.max(Math.floor(cells), min), MAX_CELLS_A_SIDE);
}
