import { asNsmError, codeName } from "../../../../src/core/index.js";
import {
  createVeth,
  currentNamespace,
  netlinkIn,
  newNamespace,
  openNamespace,
} from "../../../../src/linux/index.js";

const here = currentNamespace();
const tries: Record<string, () => unknown> = {
  links: async () => (await netlinkIn(here).link("lo")).name,
  newNamespace: () => newNamespace().name,
  open: () => openNamespace("/proc/1/ns/net").name,
  enter: () => openNamespace("/proc/self/fd/3").run(() => "inside"),
  createVeth: () =>
    createVeth({ a: { namespace: here, name: "nsm-1" }, b: { namespace: here, name: "nsm-2" } }),
  setLink: () => netlinkIn(here).setLink("lo", { mtu: 1000 }),
};

const answers: Record<string, unknown> = {};
for (const [name, run] of Object.entries(tries)) {
  try {
    answers[name] = await run();
  } catch (error) {
    answers[name] = `${codeName(asNsmError(error).code)}: ${asNsmError(error).message}`;
  }
}
console.log(JSON.stringify(answers));
