// Asks each app of staging for one page through Traefik, without Cloudflare, and expects
// an answer in time. Add an app here when it gets a host name.
// https://grafana.com/docs/k6/latest/using-k6/
import http from "k6/http";
import { check, sleep } from "k6";

const traefik = "http://traefik.ingress-traefik.svc.cluster.local";

// Path that answers 200 to whoever is not logged in.
const pages = [
  { host: "beacon-staging.${DOMAIN}", path: "/version" },
  { host: "freshrss-staging.${DOMAIN}", path: "/i/" },
  { host: "librechat-staging.${DOMAIN}", path: "/health" },
];

export const options = {
  vus: 1,
  iterations: 3,
  thresholds: {
    // Every check of every page, or the job fails.
    checks: ["rate==1"],
    // Milliseconds for nine of ten answers.
    http_req_duration: ["p(90)<2000"],
  },
};

// The network policy of a new pod takes some seconds to arrive at the node.
export function setup() {
  for (let i = 0; i < 15; i++) {
    if (http.get(traefik, { responseCallback: null }).status > 0) {
      return;
    }
    sleep(2);
  }
}

export default function () {
  for (const page of pages) {
    const answer = http.get(traefik + page.path, { headers: { Host: page.host }, tags: { app: page.host } });
    check(answer, { [page.host + " answers"]: (r) => r.status === 200 });
  }
}
