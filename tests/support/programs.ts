/** Returns whether a program is in the search path. */
export function isInstalled(program: string): boolean {
  const args = ["-c", 'command -v "$0"', program];
  return new Deno.Command("/bin/sh", { args, stdout: "null", stderr: "null" }).outputSync().success;
}
