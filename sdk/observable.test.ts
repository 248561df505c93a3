import assert from "node:assert/strict";
import { test } from "node:test";
import { createSource } from "./observable.ts";

test("listeners hear of another value, and of the same one nothing", () => {
  const source = createSource(1);
  const heard: number[] = [];
  source.subscribe((value) => heard.push(value));
  source.set(1);
  source.set(2);
  source.set(2);
  assert.equal(source.get(), 2);
  assert.deepEqual(heard, [2]);
});

test("the same function may listen twice, and ends once at a time", () => {
  const source = createSource(0);
  let heard = 0;
  const listener = (): void => void heard++;
  const [first, second] = [source.subscribe(listener), source.subscribe(listener)];
  source.set(1);
  assert.equal(heard, 2);
  first();
  first();
  source.set(2);
  assert.equal(heard, 3);
  second();
  source.set(3);
  assert.equal(heard, 3);
});

test("a listener that is ended while others are told is not told", () => {
  const source = createSource(0);
  let heard = 0;
  let end: () => void = () => undefined;
  source.subscribe(() => end());
  end = source.subscribe(() => void heard++);
  source.set(1);
  assert.equal(heard, 0);
});

test("what a listener throws is handed over, and keeps nothing from the others", () => {
  const errors: unknown[] = [];
  const source = createSource(0, (error) => errors.push(error));
  let heard = 0;
  source.subscribe(() => {
    throw new Error("mine");
  });
  source.subscribe(() => void heard++);
  source.set(1);
  assert.equal(heard, 1);
  assert.equal(errors.length, 1);
});
