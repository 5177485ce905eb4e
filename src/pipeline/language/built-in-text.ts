/** A few sentences for models that nobody gave a text for: everyday words, a number, a name, a question. */
export const BUILT_IN_TEXT = `Once upon a time there was a small town by the sea. Every morning the fishermen went out in
their boats, and every evening they came back with what the water had given them. "How was the day?" asked Anna, who sold
bread on the market square. "Not bad," said her brother, "we caught 25 fish and lost only one net." They laughed, because
last week it had been the other way round. Then the bell rang, the lamps were lit, and the children ran home to eat their
soup before it got cold. At night the wind turned to the north, and in the morning the whole town was white with snow.
`;
