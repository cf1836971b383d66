/** A firewall as a network service: clients of "firewall" get a vWire to this process. Rules in a file filter it. */
import { once } from "node:events";
import {
  fileIdentity,
  insecureIdentity,
  kernelServer,
  mechanismsServer,
  pointToPointIpam,
  serveEndpoint,
} from "nsm-sdk";
import { firewall, watchedRules } from "nsm-sdk/elements/firewall";

// The variables of the Go programs, so that their manifests fit; and where the interfaces go, if not here.
const {
  NSM_NAME: name = "cnf-firewall",
  NSM_CONNECT_TO: connectTo = "unix:///var/lib/networkservicemesh/nsm.io.sock",
  NSM_LISTEN_ON: listenOn = `unix:///tmp/${name}/listen.sock`,
  NSM_SERVICE_NAMES: services = "firewall",
  NSM_CIDR_PREFIX: prefixes = "172.16.1.0/24",
  NSM_ACL_CONFIG_PATH: rulesFile = "/etc/firewall/config.yaml",
  NSM_IDENTITY: identityFiles = "files=/etc/nsm/identity", // with ca.pem, svid.pem, key.pem
  NSM_INSECURE: insecure,
  NSM_NETNS: netns = `/proc/${process.pid}/ns/net`,
} = process.env;
const print = (line: object): void => console.log(JSON.stringify(line));

const wall = firewall({ name, netns, rules: await watchedRules(rulesFile), onEvent: print });
await wall.prepare();

const identity = insecure ? insecureIdentity() : await fileIdentity(identityFiles.replace("files=", ""));
const endpoint = await serveEndpoint({
  name,
  services: services.split(","),
  connectTo,
  listenOn: [listenOn],
  identity,
  elements: [
    pointToPointIpam({ prefixes: prefixes.split(",") }),
    wall,
    mechanismsServer({ KERNEL: kernelServer({ inodeUrl: `file://${netns}` }) }),
  ],
});
print({ ready: true, listenOn: endpoint.listenOn });

const tellCounters = async (): Promise<void> => print({ event: "counters", ...(await wall.counters()) });
process.on("SIGUSR2", () => void tellCounters());
await once(process, "SIGTERM");
await endpoint.close();
await wall.stop();
identity.close();
