// The tests sign in with a browser, on the pages of the real identity provider. Here the tokens are in the environment.
const utils = require.resolve("@itwin/imodels-client-test-utils", { paths: [process.cwd()] });
const tokens = JSON.parse(process.env.SANDBOX_TOKENS);
require(utils).TestAuthorizationClient.prototype.getAccessToken = async ({ email }) => tokens[email];
