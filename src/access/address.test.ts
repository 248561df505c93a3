import assert from "node:assert/strict";
import { test } from "node:test";
import { addressKey, plainAddress } from "./address.ts";

test("an IPv4 address dressed up as IPv6 is the IPv4 address", () => {
  assert.equal(plainAddress("::ffff:203.0.113.9"), "203.0.113.9");
  assert.equal(plainAddress("203.0.113.9"), "203.0.113.9");
  assert.equal(plainAddress("2001:db8::1"), "2001:db8::1");
  assert.equal(plainAddress(undefined), "unknown");
});

test("what a proxy passes on as an address has a bounded length", () => {
  assert.equal(plainAddress("x".repeat(10_000)).length, 64);
});

test("an IPv4 address counts for itself, an IPv6 address for its /64", () => {
  assert.equal(addressKey("203.0.113.9"), "203.0.113.9");
  assert.equal(addressKey("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2");
  assert.equal(addressKey("2001:db8:1:2::6"), "2001:db8:1:2");
  assert.equal(addressKey("2001:db8::6"), "2001:db8:0:0");
  assert.equal(addressKey("::1"), "0:0:0:0");
  assert.notEqual(addressKey("2001:db8:1:2::6"), addressKey("2001:db8:1:3::6"));
});
