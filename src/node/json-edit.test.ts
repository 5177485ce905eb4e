import { describe, expect, it } from "vitest";
import { setJson } from "./json-edit.ts";

const path = ["transformers.js_config", "use_external_data_format"];
const set = (text: string, value: unknown): string => setJson(text, path, value, "config.json");

describe("changing one value of a JSON text", () => {
  it("leaves numbers, escapes and compact lists as they were written", () => {
    const text = '{\n  "eps": 1e-05,\n  "big": 12345678901234567890,\n  "ids": [1, 2],\n  "u": "\\u00e9 \\" }"\n}\n';
    const next = set(text, { "model_q4.onnx": 1 });
    expect(next.startsWith(text.slice(0, text.lastIndexOf("\n}")))).toBe(true);
    expect(next).toContain(
      '"transformers.js_config": {\n    "use_external_data_format": {\n      "model_q4.onnx": 1\n    }\n  }\n}\n',
    );
  });

  it("replaces a value in place and keeps its neighbours", () => {
    const text =
      '{\n\t"transformers.js_config": {\n\t\t"dtype": "q8",\n\t\t"use_external_data_format": true,\n\t\t"device": "wasm"\n\t},\n\t"z": 1\n}';
    expect(set(text, 2)).toBe(text.replace("true", "2"));
  });

  it("adds to an empty object", () => {
    expect(set("{}", 1)).toBe('{"transformers.js_config":{"use_external_data_format":1}}');
    expect(JSON.parse(set('{\n  "a": 1,\n  "transformers.js_config": {}\n}', 3))).toEqual({
      a: 1,
      "transformers.js_config": { use_external_data_format: 3 },
    });
  });

  it("keeps Windows line ends", () => {
    expect(set('{\r\n  "a": 1\r\n}\r\n', {})).toBe(
      '{\r\n  "a": 1,\r\n  "transformers.js_config": {\r\n    "use_external_data_format": {}\r\n  }\r\n}\r\n',
    );
  });

  it("keeps a text on one line", () => {
    const next = set('{"a": [1, {"b": "]"}], "c": null}', 1);
    expect(next).toBe('{"a": [1, {"b": "]"}], "c": null, "transformers.js_config": {"use_external_data_format":1}}');
  });

  it("takes the last of repeated keys, as JSON.parse does", () => {
    const text = '{"transformers.js_config": 1, "transformers.js_config": {"use_external_data_format": 0}}';
    expect(JSON.parse(set(text, 5))["transformers.js_config"]).toEqual({ use_external_data_format: 5 });
  });

  it("refuses a path through something that is not an object", () => {
    expect(() => set('{"transformers.js_config": 3}', 1)).toThrow(
      /config.json: transformers.js_config is not an object/,
    );
  });
});
