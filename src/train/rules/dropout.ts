/** Dropout (Srivastava et al., JMLR 15, 2014). */
import { castTo } from "../forms.ts";
import { incoming, type Rule, type Rules } from "../rule.ts";
import { masked } from "./elementwise.ts";

/** What was kept is divided by the share that is kept, while training; the mask says what was. */
const dropout: Rule = (node, context) => {
  const d = incoming(context);
  const [x = "", ratio = "", training = ""] = node.inputs;
  if (training === "") return [d];
  const { emit, scalar } = context;
  const dtype = context.dtype(x);
  const dropped = ratio === "" ? scalar(0.5, dtype) : castTo(context, ratio, dtype);
  const one = scalar(1, dtype);
  const kept = emit("Where", [training, emit("Sub", [one, dropped]), one]);
  return [masked(context, context.output(1), emit("Div", [d, kept]), dtype)];
};

export const dropoutRules: Rules = { Dropout: dropout };
