// openai for Node: runTools, which calls a tool and goes on until the model answers.
// Takes the gateway's base URL and a system prompt, which may be empty.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [, , baseURL, system] = process.argv;
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const orders = [];
const find_order = {
  type: "function",
  function: {
    name: "find_order",
    parse: JSON.parse,
    parameters: { type: "object", properties: { number: { type: "string" } }, required: ["number"] },
    function: ({ number }) => {
      orders.push(number);
      return "on its way";
    },
  },
};
const prompt = system ? [{ role: "system", content: system }] : [];
const runner = client.chat.completions.runTools({
  model: "gpt-4o",
  messages: [...prompt, { role: "user", content: "hello" }],
  tools: [find_order],
});
assert.equal(await runner.finalContent(), "It is on its way.");
assert.deepEqual(orders, ["10432"]);
const { version } = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url)));
console.log(`openai runTools (node) ${version}`);
