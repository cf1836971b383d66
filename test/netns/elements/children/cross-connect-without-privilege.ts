import { asNsmError, codeName } from "../../../../src/core/index.js";
import { forwarder } from "../../../elements/support/forwarder.js";

// Descriptor 3 is a namespace that this process may name but not enter.
const { sendRequest, leftovers } = forwarder({
  client: `/proc/${process.pid}/fd/3`,
  endpoint: `/proc/${process.pid}/ns/net`,
});
try {
  await sendRequest();
  console.log("went through");
} catch (error) {
  const { code, message } = asNsmError(error);
  console.log(`${codeName(code)}: ${message} ${JSON.stringify(leftovers())}`);
}
