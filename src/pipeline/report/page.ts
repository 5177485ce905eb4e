/** The frame of every page: one file without scripts and requests. */
import { type Html, html, trusted } from "./html.ts";
import { STYLE } from "./style.ts";

/** What goes into the frame. */
export interface Page {
  readonly title: string;
  readonly body: Html;
  readonly footer: Html;
}

/** The whole document; names from model files are escaped where the parts are made. */
export const document = ({ title, body, footer }: Page): string =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
${body}
<footer>${footer}</footer>
</body>
</html>
`.html;
