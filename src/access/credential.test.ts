import assert from "node:assert/strict";
import { test } from "node:test";
import { credentialOf } from "./credential.ts";

test("a credential is found in either header or in the URL, the same one also in several places", () => {
  assert.equal(credentialOf({}), undefined);
  assert.equal(credentialOf({ authorization: "Bearer  a " }), "a");
  assert.equal(credentialOf({ authorization: "bEaReR a" }), "a");
  assert.equal(credentialOf({ "x-api-key": "a" }), "a");
  assert.equal(credentialOf({}, ["a"]), "a");
  assert.equal(credentialOf({ authorization: "Bearer a", "x-api-key": "a" }, ["a", "a"]), "a");
});

test("another scheme and an empty parameter of the URL are no credentials; an empty header is a wrong one", () => {
  assert.equal(credentialOf({ authorization: "Basic a,b" }, [""]), undefined);
  assert.equal(credentialOf({ authorization: "Bearer " }), "");
});

test("credentials that differ are refused, wherever they stand", () => {
  const differing: readonly Parameters<typeof credentialOf>[] = [
    [{ authorization: "Bearer a", "x-api-key": "b" }],
    [{ authorization: "Bearer a, Bearer a" }],
    [{ "x-api-key": "a, a" }],
    [{ "x-api-key": ["a", "b"] }],
    [{ authorization: "Bearer a" }, ["b"]],
    [{}, ["a", "b"]],
  ];
  for (const parts of differing) {
    assert.throws(() => credentialOf(...parts), { code: "unauthorized" }, JSON.stringify(parts));
  }
});
