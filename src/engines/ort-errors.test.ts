import { expect, test } from "vitest";
import { FewbitError } from "../numeric/errors.ts";
import { ortFail } from "./ort-errors.ts";

const said = (message: string): string => {
  try {
    return ortFail("ort: m.onnx", new Error(message));
  } catch (error) {
    return `${(error as FewbitError).code} ${(error as FewbitError).message}`;
  }
};

test("the node is named where the engine names it", () => {
  const message = `Load model from m.onnx failed:This is an invalid model. In Node, ("frob", Frobnicate, "", -1) : ("x": tensor(float),) -> ("y": tensor(float),) , Error No Op registered for Frobnicate with domain_version of 21`;
  expect(said(message)).toBe(`engine ort: m.onnx: node "frob": the engine does not know op Frobnicate in opset 21`);
});

test("unknown messages lose what stands around them", () => {
  expect(said("Can't create a session. ERROR_CODE: 1, ERROR_MESSAGE: Something\n new.")).toBe(
    "engine ort: m.onnx: Something new.",
  );
  expect(
    said(
      "Load model from m.onnx failed:/src/a/graph.cc:187 void onnxruntime::F(int, const std::string&) const It broke.",
    ),
  ).toBe("engine ort: m.onnx: It broke.");
});

test("a sentence of fewbit's own passes through", () => {
  const own = new FewbitError("data", "already clear");
  expect(() => ortFail("ort", own)).toThrow(own);
});
