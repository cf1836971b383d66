import { asNsmError, codeName } from "../../../../src/core/index.js";
import { currentNamespace } from "../../../../src/linux/index.js";
import { nftablesIn } from "../../../../src/linux/nftables/index.js";

try {
  await nftablesIn(currentNamespace()).replaceTable({ family: "inet", name: "nsm-test", chains: [] });
} catch (error) {
  console.log(`${codeName(asNsmError(error).code)}: ${asNsmError(error).message}`);
}
