import { asNsmError, codeName } from "nsm-sdk/core";
import { currentNamespace, nftablesIn } from "nsm-sdk/linux";

try {
  await nftablesIn(currentNamespace()).replaceTable({ family: "inet", name: "nsm-test", chains: [] });
} catch (error) {
  console.log(`${codeName(asNsmError(error).code)}: ${asNsmError(error).message}`);
}
