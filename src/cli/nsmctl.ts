import { Command, CommanderError, Option } from "commander";
import { Code, codeOf, explain } from "../core/index.js";
import {
  positiveDuration,
  loadProgram,
  programNames,
  runProgram,
  type CommonConfig,
  type OperatorSignals,
} from "../programs/index.js";
import { makeCertificates } from "./certs.js";
import { withoutEmptyValues } from "./empty-values.js";

/** Exit code for wrong usage, by shell convention. */
const USAGE = 2;

interface CertsFlags {
  readonly dir: string;
  readonly lifetime: number;
  readonly renew?: boolean;
}

/** Runs a command. Reports its failure as one line on stderr. */
async function reported(name: string, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    process.stderr.write(`${name}: ${explain(error)}\n`);
    return codeOf(error) === Code.InvalidArgument ? USAGE : 1;
  }
}

/** Runs the command line tool. Resolves to the exit code. */
export async function nsmctl(args: readonly string[], signals?: OperatorSignals): Promise<number> {
  let exitCode = 0;
  const cli = new Command("nsmctl")
    .description("Network Service Mesh: run its programs, see it work")
    .exitOverride()
    .showSuggestionAfterError(false);
  const run = cli.command("run").description("run one program until it receives a signal");
  // Loads the program to run, or all programs for the help text.
  const [subcommand, name = ""] = args;
  const wanted = subcommand === "run" && programNames.includes(name) ? [name] : programNames;
  let given = args;
  for (const program of await Promise.all(wanted.map(loadProgram))) {
    if (!program) continue;
    const command = run.command(program.name).description(program.summary).allowExcessArguments(false);
    const options = program.options();
    for (const option of options) command.addOption(option);
    if (program.name === name) given = withoutEmptyValues(args, options, process.env);
    command.action(async (config: CommonConfig) => {
      exitCode = await runProgram(program, config, signals);
    });
  }
  cli
    .command("certs")
    .description(
      "issue certificates for trials: one directory for --identity files= per SPIFFE id. " +
        "The authority is kept in DIR/authority, so later calls add certificates that trust the first ones",
    )
    .argument("<id...>", "SPIFFE ids of one trust domain, such as spiffe://example.org/nsmgr")
    .requiredOption("--dir <dir>", "directory of the certificates and of their authority")
    .addOption(
      new Option("--lifetime <duration>", "lifetime of new certificates")
        .argParser(positiveDuration)
        .default(86_400_000, "24h"),
    )
    .option("--renew", "replace certificates that have not expired; without it they are kept")
    .action(async (ids: string[], { dir, lifetime, renew }: CertsFlags) => {
      exitCode = await reported("certs", async () => {
        for (const { folder, kept } of await makeCertificates({ dir, lifetimeMs: lifetime, ids, renew })) {
          process.stdout.write(`--identity files=${folder}\n`);
          if (kept) process.stderr.write(`certs: ${folder} is kept: it has not expired\n`);
        }
      });
    });
  cli
    .command("demo")
    .description("a firewall on a vWire, with real processes and packets, on this machine")
    .option("--json", "print one object on stdout, everything else on stderr")
    .allowExcessArguments(false)
    .action(async (options: { json?: boolean }) => {
      const { demo } = await import("./demo/index.js");
      exitCode = await demo(options);
    });
  try {
    await cli.parseAsync([...given], { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has already printed the error or the requested help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    throw error;
  }
}
