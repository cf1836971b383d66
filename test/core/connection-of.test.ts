import { connectionOf, NetworkServiceRequest } from "nsm-sdk/api";
import { asNsmError, chain, Code, Context } from "nsm-sdk/core";
import { connectionState } from "nsm-sdk/elements/connection-state";
import { expect, test } from "vitest";

test("a request without a connection is INVALID_ARGUMENT, also where update-path is missing", async () => {
  const request = NetworkServiceRequest.create();
  const call = async () => chain([connectionState()]).request(Context.background(), request);
  const refused: unknown = await call().catch((error: unknown) => error);
  expect(asNsmError(refused)).toMatchObject({
    code: Code.InvalidArgument,
    message: "the request carries no connection: update-path stands before every other element",
  });
  expect(() => connectionOf(request)).toThrow("carries no connection");
});
