import assert from "node:assert/strict";
import { test } from "node:test";
import { convert, type Scale } from "../src/index.js";

const cases: [number, Scale, number, Scale][] = [
  [0, "celsius", 32, "fahrenheit"],
  [100, "celsius", 373.15, "kelvin"],
  [-40, "fahrenheit", -40, "celsius"],
];

for (const [degrees, from, expected, to] of cases) {
  test(`${degrees} ${from} is ${expected} ${to}`, () => assert.equal(convert(degrees, from, to), expected));
}

test("nothing is colder than absolute zero", () => {
  assert.throws(() => convert(-300, "celsius", "kelvin"), RangeError);
});
