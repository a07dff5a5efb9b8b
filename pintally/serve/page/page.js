// The live page: one document in, every part of the page from it.

import { Connection } from "./connection.js";
import { copyOnClick, showAway, showCondition, showLink } from "./condition.js";
import { showFigures } from "./figures.js";
import { showFreshness, showSteps } from "./freshness.js";
import { showLetters, showProof, showSealing, showTop, showWorkers } from "./parts.js";
import { showOutcomes } from "./outcomes.js";
import { showSources } from "./sources.js";

let shown = null; // the document that the parts show

function show() {
  showCondition(connection);
  showAway(connection);
  showLink(connection);
  const { state } = connection;
  if (!state || state === shown) return;
  shown = state;
  for (const part of [showFigures, showSources, showOutcomes, showFreshness, showSteps]) part(state);
  for (const part of [showSealing, showTop, showLetters, showWorkers, showProof]) part(state);
}

const connection = new Connection(show);
copyOnClick();
connection.start();
setInterval(show, 1000); // ages tick here, whatever the server does
show();
