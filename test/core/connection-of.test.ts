import { connectionOf, NetworkServiceRequest } from "../../src/api/index.js";
import { asNsmError, chain, Code, Context } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { expect, test } from "vitest";

test("a request without a connection is INVALID_ARGUMENT, even without update-path", async () => {
  const request = NetworkServiceRequest.create();
  const call = async () => chain([connectionState()]).request(Context.background(), request);
  const refused: unknown = await call().catch((error: unknown) => error);
  expect(asNsmError(refused)).toMatchObject({
    code: Code.InvalidArgument,
    message: "the request has no connection: put update-path before every other element",
  });
  expect(() => connectionOf(request)).toThrow("has no connection");
});
