/** Signals by name and by Linux number: the API speaks of both, whatever the machine's own numbers are. */

const NUMBERS: Readonly<Partial<Record<Deno.Signal, number>>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

const NAMES: ReadonlyMap<number, Deno.Signal> = new Map(
  Object.entries(NUMBERS).map(([name, number]) => [number, name as Deno.Signal]),
);

export const SIGHUP = 1;
export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;

/** The highest real-time signal of Linux; Docker knows names for them, Deno cannot send them. */
const MAX_SIGNAL = 64;

/**
 * A signal as a client may write it: `9`, `KILL`, `SIGKILL`, `kill`.
 * @returns its number; undefined for what is no signal (0 too: Docker refuses it)
 */
export function parseSignal(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number === 0 ? undefined : number;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^RTM(?:IN(?:\+(\d{1,2}))?|AX(?:-(\d{1,2}))?)$/.exec(name);
  if (realtime !== null) {
    const number = name.startsWith("RTMIN")
      ? 34 + Number(realtime[1] ?? 0)
      : MAX_SIGNAL - Number(realtime[2] ?? 0);
    return number >= 34 && number <= MAX_SIGNAL ? number : undefined;
  }
  return NUMBERS[`SIG${name}` as Deno.Signal];
}

/** The name to give to `Deno.kill`; undefined for numbers that it cannot send (the real-time signals). */
export function signalName(number: number): Deno.Signal | undefined {
  return NAMES.get(number);
}

/** Status of a process that `signal` ended: 128 + the signal's Linux number. */
export function exitCodeOfSignal(signal: Deno.Signal): number {
  return 128 + (NUMBERS[signal] ?? 0);
}
