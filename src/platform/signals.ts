/**
 * Unix signals by name and by number, as Linux numbers them on x86 and ARM. Containers are Linux processes everywhere: on
 * another system, the engine runs them in a virtual machine. So this table is used whatever the numbers of this machine are.
 */

// deno-fmt-ignore
const NAMES: readonly Deno.Signal[] = [
  "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV",
  "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN",
  "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
];

export const SIGHUP = 1;
export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;

/** Real-time signals have these numbers. Docker has names for them, `RTMIN+3` for example; Deno cannot send them. */
const FIRST_REALTIME = 34;
const LAST_REALTIME = 64;

/** `SIGTERM` for 15; undefined for a number outside 1 to 31. */
export function signalName(number: number): Deno.Signal | undefined {
  return NAMES[number - 1];
}

/** The number, 1 to 31, of a signal written `15`, `TERM` or `SIGTERM`, in any case; undefined for any other text. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) return signalName(Number(text)) === undefined ? undefined : Number(text);
  const name = text.toUpperCase().replace(/^(?!SIG)/, "SIG");
  const index = NAMES.findIndex((each) => each === name);
  return index < 0 ? undefined : index + 1;
}

/**
 * Reads a signal as Docker's API does. Besides what `signalNumber()` reads, it takes the names of real-time signals, and every
 * number except 0.
 */
export function parseEngineSignal(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) || undefined;
  const realtime = /^(?:SIG)?RTM(?:IN(?:\+(\d{1,2}))?|AX(?:-(\d{1,2}))?)$/i.exec(text);
  if (realtime === null) return signalNumber(text);
  const [, aboveFirst, belowLast = 0] = realtime;
  const isFromFirst = /RTMIN/i.test(text);
  const number = isFromFirst ? FIRST_REALTIME + Number(aboveFirst ?? 0) : LAST_REALTIME - Number(belowLast);
  return number >= FIRST_REALTIME && number <= LAST_REALTIME ? number : undefined;
}

/** The exit code that shells and engines give a process that the signal ended: 128 and the signal's number. */
export function exitCodeOfSignal(signal: Deno.Signal): number {
  return 128 + NAMES.indexOf(signal) + 1;
}
