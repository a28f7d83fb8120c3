// Asks the platform's own client for clones, all at once, and waits for each as that client does.
// node clones.cjs URL TOKEN SOURCE ITWIN COUNT: prints, as JSON, the name of each and when it was seen to be there.
const { IModelsClient } = require("@itwin/imodels-client-management");

const [url, token, source, itwin, count] = process.argv.slice(2);
const client = new IModelsClient({ api: { baseUrl: `${url}/imodels` } });
const authorization = async () => ({ scheme: "Bearer", token });

async function clone(number) {
  const name = `Peer ${number}`;
  await client.iModels.clone({ authorization, iModelId: source, iModelProperties: { iTwinId: itwin, name } });
  return [name, Date.now() / 1000];
}

Promise.all(Array.from({ length: Number(count) }, (_, number) => clone(number + 1))).then(
  (seen) => console.log(JSON.stringify(Object.fromEntries(seen))),
  (error) => { console.error(error); process.exit(1); },
);
