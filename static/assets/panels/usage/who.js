/** The user who is logged in, and a button to log out. */

import { button, element, setText } from "../../widgets/element.js";
import { session } from "../../wire/session.js";

/** @returns {{node: HTMLElement, show: () => void}} */
export function makeWho() {
  const name = element("strong", { "data-username": "" });
  const person = element("span", { class: "hint" });
  const fault = element("span", { class: "fault", role: "alert" });
  const leave = button({ class: "action", "data-logout": "" }, "Log out", async () => {
    if (leave.ariaBusy === "true") return;
    leave.ariaBusy = "true";
    const reason = await session.end();
    leave.ariaBusy = null;
    setText(fault, reason && `You are still logged in: the server is unavailable. ${reason}`);
  });
  return {
    node: element("div", { class: "who", "data-who": "" }, fault, element("span", { class: "who-name" }, name, " ", person), leave),
    show() {
      const { user } = session;
      setText(name, user?.username ?? "");
      setText(person, user ? `${user.gender}, ${user.age}` : "");
    },
  };
}
