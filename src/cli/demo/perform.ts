import { Code, NsmError } from "../../core/index.js";
import { closing } from "./acts/closing.js";
import { connecting } from "./acts/connecting.js";
import { failover } from "./acts/failover.js";
import { firstPackets } from "./acts/first-packets.js";
import { newRules } from "./acts/new-rules.js";
import type { Play } from "./acts/play.js";
import { setUp } from "./acts/set-up.js";
import { pathNames } from "./picture.js";
import { Stage } from "./stage.js";

/** What came of it beside the checks. */
export interface Outcome {
  readonly path: readonly string[];
  readonly leftovers: readonly string[];
}

/** All acts in order, until one fails; then everything is taken away, whatever happened. Never rejects. */
export async function perform({ checks, screen }: Omit<Play, "stage">): Promise<Outcome> {
  let stage: Stage | undefined;
  let path: readonly string[] = [];
  try {
    stage = await Stage.open();
    const play = { stage, checks, screen };
    const { mesh, firewall } = await setUp(play);

    screen.act("The wire");
    const wire = await connecting(play, firewall);
    path = pathNames(wire.connection);

    screen.act("First packets");
    const web = await firstPackets(play, firewall, wire);

    screen.act("Other rules, same connection");
    await newRules(play, firewall, wire, web);

    screen.act("The endpoint dies");
    const heir = await failover(play, firewall, wire);

    screen.act("Closing down");
    await closing(play, { client: wire.client, firewall: heir, mesh });
  } catch (error) {
    checks.endedBy(error);
  }
  return { path, leftovers: stage ? await takeAway(stage, { checks, screen }) : [] };
}

async function takeAway(stage: Stage, { checks }: Omit<Play, "stage">): Promise<readonly string[]> {
  let left: readonly string[] = [];
  const work = checks.runRegardless("nothing left behind", async (say) => {
    left = await stage.strike();
    if (left.length > 0) throw new NsmError(Code.Internal, left.join(", "));
    say("no process, namespace, interface or file");
  });
  await work.catch((error: unknown) => checks.endedBy(error));
  return left;
}
