import { asNsmError, codeName } from "../../../../src/core/index.js";
import { currentNamespace, nftablesIn } from "../../../../src/linux/index.js";

try {
  await nftablesIn(currentNamespace()).replaceTable({ family: "inet", name: "nsm-test", chains: [] });
} catch (error) {
  console.log(`${codeName(asNsmError(error).code)}: ${asNsmError(error).message}`);
}
