import { assert, assertEquals, assertGreater } from "@std/assert";
import {
  allProcesses,
  processStat,
  readProc,
  signalSession,
} from "../../../src/embedded_engine/processes/proc_files.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("processStat() parses a running process, whatever its name", async () => {
  const child = new Deno.Command("bash", {
    args: ["-c", `exec -a "x) R 1 (" sleep 60`],
    detached: true,
  }).spawn();
  try {
    const stat = await processStat(child.pid);
    assert(["R", "S", "D"].includes(stat?.state ?? ""), stat?.state);
    assertEquals([stat?.session, stat?.threads], [child.pid, 1]);
    assertGreater(Number(stat?.startTime), 0);
    assert((await allProcesses()).some(({ pid }) => pid === child.pid));
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

Deno.test("processStat() parses a process whose name looks like the fields after it", async () => {
  await using temp = await TempDir.make();
  // The kernel keeps 15 bytes of the name, including a newline.
  const program = temp.join("1) R 2 3\n4 (x) ");
  await Deno.copyFile("/bin/sleep", program);
  const child = new Deno.Command(program, { args: ["60"], detached: true }).spawn();
  try {
    while (!(await readProc([`${child.pid}/stat`])).includes("1) R")); // Until the shell has become that program.
    assertEquals((await processStat(child.pid))?.session, child.pid);
    assertEquals((await allProcesses()).filter(({ pid }) => pid === child.pid).length, 1);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

Deno.test("readProc() and processStat() leave out processes that have exited, or exit while they are read", async () => {
  assertEquals(await readProc(["nosuch/stat"]), "");
  for (let round = 0; round < 50; round++) {
    const child = new Deno.Command("true").spawn();
    while (await processStat(child.pid) !== undefined); // Read continuously, also in the moment of its exit.
    await child.status;
  }
});

Deno.test("signalSession() reaches every group of a session, and no other process", async () => {
  const script = "set -m; sleep 60 & sleep 60 & echo $!; wait";
  const [first, other] = [script, "echo; exec sleep 60"].map((text) =>
    new Deno.Command("bash", { args: ["-c", text], detached: true, stdout: "piped" }).spawn()
  );
  const reader = first!.stdout.getReader();
  const job = Number(new TextDecoder().decode((await reader.read()).value));
  await signalSession(first!.pid, "SIGKILL");
  assertEquals((await first!.status).signal, "SIGKILL");
  await reader.cancel();
  while (!["Z", undefined].includes((await processStat(job))?.state));
  assert((await processStat(other!.pid)) !== undefined);
  other!.kill("SIGKILL");
  await other!.stdout.cancel();
  await other!.status;
});
