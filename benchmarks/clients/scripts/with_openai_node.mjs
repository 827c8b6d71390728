// openai for Node: responses, then the same by chat completions; embeddings and models.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as s from "./scenario.mjs";

const client = new OpenAI({ baseURL: `${s.url}/v1`, apiKey: "unused" });
const { model } = s;
const schema = z.object({ intent: z.enum(["order", "other"]) });
const parameters = { type: "object", properties: { number: { type: "string" } }, required: ["number"] };
const user = (content) => ({ role: "user", content });
const respond = (input, more) => client.responses.create({ model, input, ...more });
const chat = (text) => client.chat.completions.create({ model, messages: [user(text)] });
const say = async (text) => s.same([(await respond(text)).output_text, (await chat(text)).choices[0].message.content]);
const stream = async (text) => {
  const responded = await client.responses.stream({ model, input: text }).finalResponse();
  const completed = await client.chat.completions.stream({ model, messages: [user(text)] }).finalContent();
  return s.same([responded.output_text, completed]);
};

await s.run(
  {
    chat: async () => {
      assert.equal((await client.embeddings.create({ model, input: ["a", "b"] })).data.length, 2);
      assert.ok((await client.models.list()).data.some((one) => one.id === model));
      return say(s.ask);
    },
    stream: () => stream(s.ask),
    tools: async () => {
      const tools = [{ type: "function", name: "find_order", parameters, strict: false }];
      const first = await respond(s.find, { tools });
      const output = { type: "function_call_output", call_id: first.output[0].call_id, output: "on its way" };
      const seen = await respond([output], { tools, previous_response_id: first.id });
      const whole = await respond([user(s.find), ...first.output, output], { tools });
      const found = { parse: JSON.parse, parameters, function: ({ number }) => `${number} is on its way` };
      const loop = { model, messages: [user(s.find)], tools: [{ type: "function", function: { ...found, name: "find_order" } }] };
      return s.same([seen.output_text, whole.output_text, await client.chat.completions.runTools(loop).finalContent()]);
    },
    structured: async () => {
      const form = { model, messages: [user(s.ask)], response_format: zodResponseFormat(schema, "routed") };
      const parsed = await client.chat.completions.parse(form);
      const responded = await client.responses.parse({ model, input: s.ask, text: { format: zodTextFormat(schema, "routed") } });
      return s.same([parsed.choices[0].message.parsed.intent, responded.output_parsed.intent]);
    },
    second: async () => {
      const first = await respond(s.hello);
      const whole = await respond([user(s.hello), ...first.output, user(s.ask)]);
      const seen = await respond(s.ask, { previous_response_id: first.id });
      return [first.output_text, s.same([whole.output_text, seen.output_text])];
    },
    block: async () => s.same([await say(s.attack), await stream(s.attack)]),
    error: async () => s.raised(() => respond(s.wrong)),
    retry: () => say(s.again),
  },
  "openai",
);
