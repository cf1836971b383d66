import { Code, NsmError } from "../../../core/index.js";
import { shutDown } from "./shutdown.js";
import { connect } from "./connect.js";
import { failover } from "./failover.js";
import { firstPackets } from "./first-packets.js";
import { newRules } from "./new-rules.js";
import type { StepContext } from "./step.js";
import { setUp } from "./set-up.js";
import { pathNames } from "../report/diagram.js";
import { Machine } from "../machine/machine.js";

/** Results beside the checks. */
export interface ScenarioResult {
  readonly path: readonly string[];
  readonly leftovers: readonly string[];
}

/** Runs all steps in order until one fails, then removes everything in any case. Never rejects. */
export async function runScenario({ checks, screen }: Omit<StepContext, "machine">): Promise<ScenarioResult> {
  let machine: Machine | undefined;
  let path: readonly string[] = [];
  try {
    machine = await Machine.open();
    const context = { machine, checks, screen };
    const { mesh, firewall } = await setUp(context);

    screen.heading("The vWire");
    const wire = await connect(context, firewall);
    path = pathNames(wire.connection);

    screen.heading("First packets");
    const web = await firstPackets(context, firewall, wire);

    screen.heading("Other rules, same connection");
    await newRules(context, firewall, wire, web);

    screen.heading("The endpoint fails");
    const replacement = await failover(context, firewall, wire);

    screen.heading("Closing down");
    await shutDown(context, { client: wire.client, firewall: replacement, mesh });
  } catch (error) {
    checks.endedBy(error);
  }
  return { path, leftovers: machine ? await takeAway(machine, { checks, screen }) : [] };
}

async function takeAway(
  machine: Machine,
  { checks }: Omit<StepContext, "machine">,
): Promise<readonly string[]> {
  let left: readonly string[] = [];
  const work = checks.runRegardless("nothing left behind", async (report) => {
    left = await machine.cleanUp();
    if (left.length > 0) throw new NsmError(Code.Internal, left.join(", "));
    report("no process, namespace, interface or file");
  });
  await work.catch((error: unknown) => checks.endedBy(error));
  return left;
}
