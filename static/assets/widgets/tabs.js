/**
 * Which panel is on screen. The address names it (`/#logins`), so that it can be bookmarked; what follows a slash
 * belongs to the panel.
 */

import { element } from "./element.js";

/**
 * @template {{id: string, title: string}} P @param {HTMLElement} where @param {P[]} panels
 * @param {(panel: P) => void} show called at once and after every change
 */
export function makeTabs(where, panels, show) {
  const tabs = panels.map(({ id, title }) =>
    element("a", { href: `#${id}`, role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, "data-tab": id }, title),
  );
  where.append(...tabs);

  function follow() {
    const wanted = panels.findIndex(({ id }) => `#${id}` === location.hash.split("/", 1)[0]);
    const current = tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    const at = wanted < 0 ? Math.max(current, 0) : wanted;
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === at));
      tab.tabIndex = index === at ? 0 : -1;
    });
    tabs[at]?.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone they may not all fit
    const panel = panels[at];
    if (panel && at !== current) show(panel);
  }

  where.addEventListener("keydown", (event) => {
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const tab = to === undefined ? undefined : tabs.at(to % tabs.length);
    if (!tab) return;
    event.preventDefault();
    tab.focus();
    tab.click();
  });
  window.addEventListener("hashchange", follow);
  follow();
}
