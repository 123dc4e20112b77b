import { expect, test } from "vitest";
import { build } from "../src/app.js";

test("a link leads where it should", async () => {
  const app = build();
  const made = await app.inject({ method: "POST", url: "/links", payload: { url: "https://example.com/a?b=c" } });
  expect(made.statusCode).toBe(201);
  const answer = await app.inject({ url: `/${made.json().name}` });
  expect(answer.statusCode).toBe(302);
  expect(answer.headers.location).toBe("https://example.com/a?b=c");
});

test("what is no address is refused", async () => {
  const answer = await build().inject({ method: "POST", url: "/links", payload: { url: "nowhere" } });
  expect(answer.statusCode).toBe(400);
});

test("an unknown name leads nowhere", async () => {
  expect((await build().inject({ url: "/none" })).statusCode).toBe(404);
});
