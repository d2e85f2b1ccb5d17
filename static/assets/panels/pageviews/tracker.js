/** The card with the script tag that sites embed. */

import { element } from "../../widgets/element.js";
import { makeCode } from "../../widgets/guide.js";

/** @import { ContentCard } from "../../cards/card.js" */

export const SOME_SITE = "example.com";

const OPTIONS = {
  "data-user": "counts visitors by an id of yours; without it by a random one kept in their browser",
  "data-anonymous": "sends no id: views are counted, users are not",
  "data-respect-dnt": "sends nothing for browsers that ask not to be tracked",
  'statsd("signup")': "called on the page, sends an event of your own",
};

/** @param {() => string} site @returns {ContentCard<unknown>} */
export const makeTracker = (site) => ({
  id: "tracker",
  title: "Add it to a site",
  hint: "One line in the head of every page; the script has 1.5 KB and sets no cookie",
  width: "full",
  content() {
    const code = makeCode("the script tag");
    const options = Object.entries(OPTIONS).flatMap(([name, words]) => [
      element("dt", {}, element("code", {}, name)),
      element("dd", {}, words),
    ]);
    const show = () => code.show(scriptTag(site() || SOME_SITE));
    show();
    return { node: element("div", {}, code.node, element("dl", { class: "options" }, ...options)), show };
  },
});

/** @param {string} site a name that may contain HTML's special characters */
export const scriptTag = (site) =>
  `<script defer src="${location.origin}/t.js" data-site="${site.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"></script>`;
