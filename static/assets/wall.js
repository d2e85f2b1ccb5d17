/** What stands in place of everything: the login, where reading needs one, or that a share link has ended. */

import { makeSignin } from "./panels/usage/signin.js";
import { makeAddress } from "./widgets/address.js";
import { element, hooked } from "./widgets/element.js";
import { sharedView } from "./wire/access.js";
import { session } from "./wire/session.js";

/** Whether the reader may see numbers, as far as the page knows. */
export const mayRead = () => sharedView !== "" && (session.user !== null || !session.locked);

/** Shows the wall. After a login the page begins anew, so that nothing of another reader is left. */
export function showWall() {
  if (document.documentElement.dataset.closed !== undefined) return;
  document.documentElement.dataset.closed = "";
  if (sharedView !== undefined) {
    const words = element("p", { class: "hint" }, "Ask whoever gave it to you for a new one.");
    const ended = element("div", { class: "signin", "data-ended-link": "" }, element("h2", {}, "This link has ended"), words);
    hooked("data-panels").append(element("div", { class: "gate" }, ended));
    return;
  }
  const signin = makeSignin("Log in to see the statistics.");
  const address = makeAddress("usage");

  function follow() {
    const [view, invitation = ""] = address.read() ?? [];
    signin.show(view === "register" ? "register" : "login", invitation);
    signin.focus();
  }

  signin.node.dataset.wall = "";
  hooked("data-panels").append(signin.node);
  document.title = "Log in · statsd-live";
  window.addEventListener("hashchange", follow);
  follow();
}
