// openai for Node: parse, the streaming helper and forced tools, through its own parsers.
// Takes the gateway's base URL. Nothing answers behind that gateway.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "unused", maxRetries: 0 });
const schema = z.object({
  intent: z.enum(["Greeting", "Opening-Hours", "other"]),
  note: z.string().nullable(),
});
const expected = { intent: "Greeting", note: null };
const asked = { model: "gpt-4o", messages: [{ role: "user", content: "Hello there!" }] };
const form = { response_format: zodResponseFormat(schema, "routed") };
const forced = { tools: [zodFunction({ name: "route", parameters: schema })], tool_choice: "required" };

const whole = await client.chat.completions.parse({ ...asked, ...form, n: 2 });
assert.deepEqual(whole.choices.map((one) => one.message.parsed), [expected, expected]);

const streamed = await client.chat.completions.stream({ ...asked, ...form }).finalChatCompletion();
assert.deepEqual(streamed.choices[0].message.parsed, expected);

const called = await client.chat.completions.parse({ ...asked, ...forced });
assert.deepEqual(called.choices[0].message.tool_calls.map((one) => one.function.parsed_arguments), [expected]);

const flowing = await client.chat.completions.stream({ ...asked, ...forced }).finalChatCompletion();
assert.deepEqual(flowing.choices[0].message.tool_calls.map((one) => one.function.parsed_arguments), [expected]);

const { version } = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url)));
console.log(`openai (node) ${version}`);
