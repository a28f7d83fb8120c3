// What Microsoft's own reader of adaptive cards makes of the one on the standard input, as a host of version 1.4:
// what it says against it, and the card as it has understood it, so without what it does not know.
const { AdaptiveCard, SerializationContext, Versions } = require("adaptivecards/dist/adaptivecards.min.js");

const card = new AdaptiveCard();
const context = new SerializationContext(Versions.v1_4);
card.parse(JSON.parse(require("node:fs").readFileSync(0, "utf8")), context);
const said = Array.from({ length: context.eventCount }, (_, number) => context.getEventAt(number).message);
const missing = card.validateProperties().validationEvents.map((event) => event.message);
console.log(JSON.stringify({ problems: [...said, ...missing], card: card.toJSON() }));
