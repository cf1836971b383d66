import { startFirewall, startMesh, type FirewallEndpoint, type Mesh } from "./programs.js";
import type { StepContext } from "./step.js";

const TRUST_DOMAIN = "nsm.demo";
const roles = ["registry", "nsmgr", "forwarder", "fw-1", "fw-2", "nsc"];

/** Issues certificates, starts the programs of a mesh, and starts a firewall that registers with it. */
export async function setUp({
  machine,
  checks,
}: StepContext): Promise<{ mesh: Mesh; firewall: FirewallEndpoint }> {
  await checks.run("certificates", async (report) => {
    await machine.identify(TRUST_DOMAIN, roles);
    report(`${roles.length} SPIFFE ids of ${TRUST_DOMAIN}: mutual TLS between all`);
  });
  const mesh = await checks.run("mesh started", async (report) => {
    report("registry, nsmgr and forwarder, each a process");
    return startMesh(machine);
  });
  const firewall = await checks.run("firewall endpoint started", async (report) => {
    const started = await startFirewall(machine, "fw-1");
    report(`fw-1 in ${started.namespace.name}, registered`);
    return started;
  });
  return { mesh, firewall };
}
