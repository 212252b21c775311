import { all } from "../api.js";
import { h } from "../dom.js";
import { newButton } from "../editor.js";
import { count, duration, percent } from "../format.js";
import { leftOut, recent, share } from "../live.js";
import { card, field, leftOutNote, link, more, path, table } from "../parts.js";
import { joined, upstreamState } from "../states.js";

export default {
  title: () => "Upstreams",
  usesTraffic: true,
  load: async (page, signal) => (await all("upstreams", { signal })).map((each) => ({ ...each, ...joined(each.workers) })),
  view: (page) => {
    const text = (page.query.q ?? "").toLowerCase();
    const rows = page.data.filter((each) => each.name.toLowerCase().includes(text));
    return card("Upstreams in force",
      h("div", { class: "bar", role: "search" }, field("Filter", h("input", { type: "search", value: page.query.q ?? "", oninput: (event) => page.setQuery({ q: event.target.value }) })),
        newButton(page, "upstreams", { endpoints: [{ url: "http://127.0.0.1:8000" }] })),
      h("p", { role: "status" }, `${count(rows.length)} of ${count(page.data.length)} upstreams`),
      table({
        name: "Upstreams", rows: rows.slice(0, 200), key: (each) => each.name, empty: "No upstream matches.",
        columns: [
          { title: "Upstream", cell: (each) => link(path("upstreams", each.name), each.name) },
          { title: "State", cell: upstreamState },
          { title: "Endpoints", number: true, cell: (each) => count(each.endpoints.length) },
          { title: "Attempts/s", number: true, cell: (each) => count(recent().upstreams.get(each.name)?.rate) },
          { title: "Errors", number: true, cell: (each) => percent(share(recent().upstreams.get(each.name))) },
          { title: "p95", number: true, cell: (each) => duration(recent().upstreams.get(each.name)?.p95) },
          { title: "Strategy", cell: (each) => each.strategy },
          { title: "In flight", number: true, cell: (each) => count(each.active) },
          { title: "Waiting", number: true, cell: (each) => count(each.pending) },
          { title: "Place", cell: (each) => h("code", null, each.place) },
        ],
      }), more(rows.length, 200, "upstreams"), leftOutNote("upstreams", leftOut("upstreams")));
  },
};
