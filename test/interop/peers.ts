import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Connection } from "../../src/api/index.js";
import { startProcess, type ProcessEvent, type RunningProcess } from "../../src/programs/child/process.js";

/** Who wrote a component. */
export type Maker = "go" | "ours";

/** A component that both have. */
export type Program = "registry" | "nsmgr" | "forwarder" | "nse" | "nsc";

/** The built `nsmctl` that is tried: this checkout's, unless NSMCTL_MAIN names another, such as an installed one. */
const ourMain = process.env.NSMCTL_MAIN ?? fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let goBinary: string | undefined;

/** Builds the Go peer when it has to be; fails with one sentence when Go is not installed. */
export function goPeerBinary(): string {
  const script = fileURLToPath(new URL("./build-go.mjs", import.meta.url));
  goBinary ??= execFileSync(process.execPath, [script], { encoding: "utf8" }).trim();
  return goBinary;
}

/** A command that starts a program. */
interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

/** The command of a program by either maker. */
export function commandOf(maker: Maker, program: Program, args: readonly string[]): Command {
  return maker === "go" ? goCommand(program, args) : ourCommand(program, args);
}

function goCommand(subcommand: string, args: readonly string[]): Command {
  return { command: goPeerBinary(), args: [subcommand, ...args] };
}

function ourCommand(name: Program, args: readonly string[]): Command {
  if (!existsSync(ourMain)) throw new Error(`${ourMain} is missing: run "npm run build" first`);
  return { command: process.execPath, args: [ourMain, "run", name, ...args] };
}

/** Starts `gopeer <subcommand>`: one of {@link Program}, or `monitor`, `find`, `load`, `certs`. */
export function goPeer(subcommand: string, args: readonly string[]): Promise<RunningProcess> {
  return startProcess({ ...goCommand(subcommand, args), name: `go ${subcommand}` });
}

/** Starts `nsmctl run <name>` of the built package. */
export function ourProgram(name: Program, args: readonly string[]): Promise<RunningProcess> {
  return startProcess({ ...ourCommand(name, args), name: `our ${name}` });
}

/** How the processes of one mesh know each other. */
export interface Security {
  readonly kind: "insecure" | "mutual TLS";
  /** The flags for a process of this role. */
  args(role: string): readonly string[];
  /** The SPIFFE id of a process of this role; undefined without certificates. */
  id(role: string): string | undefined;
  remove(): Promise<void>;
}

export function insecure(): Security {
  return {
    kind: "insecure",
    args: () => ["--insecure"],
    id: () => undefined,
    remove: () => Promise.resolve(),
  };
}

/** A certificate for each role from one new authority, made by the Go peer. */
export async function mutualTls(roles: readonly string[]): Promise<Security> {
  const dir = await mkdtemp(join(tmpdir(), "nsm-interop-"));
  const id = (role: string) => `spiffe://example.org/${role}`;
  const made = await goPeer("certs", ["--dir", dir, ...roles.flatMap((role) => ["--id", id(role)])]);
  await made.exited;
  return {
    kind: "mutual TLS",
    args: (role) => ["--identity", `files=${join(dir, role)}`],
    id,
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** The connection of a client's or endpoint's event, read as protobuf's JSON mapping. */
export function connectionOf(event: ProcessEvent): Connection {
  return Connection.fromJSON(event.connection);
}

/** The connections of an event that `gopeer monitor` printed. */
export function connectionsOf(event: ProcessEvent): Connection[] {
  return Object.values(event.connections as Record<string, unknown>).map((one) => Connection.fromJSON(one));
}

/** Header and claims of a token, not verified. */
export interface DecodedToken {
  readonly alg: string;
  readonly sub: string;
  readonly aud?: readonly string[];
  readonly exp: number;
}

export function decodeToken(token: string): DecodedToken {
  const parts = token.split(".").slice(0, 2);
  return Object.assign(
    {},
    ...parts.map((part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"))),
  );
}
