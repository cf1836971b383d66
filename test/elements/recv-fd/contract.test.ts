import { beginServer } from "../../../src/elements/begin/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { dial } from "../../../src/elements/dial/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { fakeRemotes } from "../support/remotes.js";
import { recvFdClient, recvFdServer, callersNamespace } from "../../../src/elements/recv-fd/index.js";
import { sendFdClient, sendFdServer } from "../../../src/elements/send-fd/index.js";
import { describeElement } from "../../../src/testing/index.js";

describeElement("recv-fd/callers-namespace", () => callersNamespace());
describeElement("recv-fd/server", () => recvFdServer());
describeElement("recv-fd/client", () => recvFdClient());
describeElement("send-fd/server", () => sendFdServer());
describeElement("send-fd/client", () => sendFdClient(), {
  before: [updatePath({ name: "hop" }), beginServer(), connectionState(), dial(fakeRemotes())],
});
