/**
 * Signals by number, as Linux numbers them on x86 and ARM. Containers are Linux everywhere: an engine on another system
 * runs them in a virtual machine.
 */
const SIGNAL_NAMES: readonly (string | undefined)[] = [
  undefined,
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

export const SIGKILL = 9;

/** `SIGTERM` for 15; undefined for what is no signal from 1 to 31. */
export function signalName(number: number): string | undefined {
  return SIGNAL_NAMES[number];
}

/** The number of a signal written `15`, `TERM` or `SIGTERM`, in any case; undefined for anything else. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) return signalName(Number(text)) === undefined ? undefined : Number(text);
  const upper = text.toUpperCase();
  const number = SIGNAL_NAMES.indexOf(upper.startsWith("SIG") ? upper : `SIG${upper}`);
  return number > 0 ? number : undefined;
}
