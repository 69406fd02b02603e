/* What every page needs: links without reloads, the title, the menu, the theme, keys. */
(function () {
  "use strict";
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.archiver = {
    arrived: function (title) {
      if (title) document.title = title;
      window.archiverTheme.apply();
      var group = { strategy: "strategies", run: "runs", portfolio: "compare" }, here = window.archiverPage(location.href);
      var at = group[here] || here;
      document.querySelectorAll("#nav a").forEach(function (link) {
        if (window.archiverPage(link.href) === at) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      });
      return at;
    },
  };

  function follow(link) {
    var address = window.archiverRemember.address(link.href);
    // The filters of this page stand in the address without Dash knowing: it would see no change.
    if (window.archiverPage(location.href) === "strategies" && window.archiverPage(link.href) === "strategies") { location.assign(address); return; }
    history.pushState({}, "", address);
    window.dispatchEvent(new PopStateEvent("popstate"));
    window.scrollTo(0, 0);
    var page = document.getElementById("page");
    if (page) page.focus({ preventScroll: true });
  }

  /* A server that was stopped, or a token that no longer counts, must not look like a page that loads for ever. */
  function tell(text) {
    var place = document.getElementById("unreachable");
    if (!place) return;
    place.hidden = !text;
    place.firstChild.textContent = text;
  }

  var ask = window.fetch;
  window.fetch = function (what, options) {
    var asked = ask.call(window, what, options);
    if (String(what && what.url || what).indexOf("_dash-update-component") < 0) return asked;
    return asked.then(function (answer) {
      tell(answer.status === 401 ? "The token of this page does not count any more: open the address with its token again. " : "");
      return answer;
    }, function (error) {
      if (error.name !== "AbortError") tell("The server does not answer: it was stopped, or the network is down. ");
      throw error;
    });
  };

  document.addEventListener("click", function (event) {
    var menus = document.querySelectorAll("details.menu[open]");
    menus.forEach(function (menu) { if (!menu.contains(event.target)) menu.open = false; });
    if (event.target.closest(".menu-item")) event.target.closest("details.menu").open = false;
    if (event.target.closest("#theme")) { window.archiverTheme.next(); return; }
    var link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.dataset.reload) { event.preventDefault(); location.reload(); return; }
    if (link.classList.contains("off")) { event.preventDefault(); return; }
    if (link.hasAttribute("download") || link.target || link.getAttribute("href").charAt(0) === "#") return;
    if (window.archiverPage(link.href) === null) return;
    event.preventDefault();
    follow(link);
  });

  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach(function (menu) { menu.open = false; });
    }
    if (event.key === "Enter" && event.target.classList && event.target.classList.contains("ag-cell")) {
      var row = event.target.closest(".ag-row").getAttribute("row-index");
      var table = event.target.closest(".ag-root");
      var link = table && table.querySelector(".ag-row[row-index='" + row + "'] a[href]");
      if (link) { event.preventDefault(); link.click(); } else event.target.click();
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      var box = document.querySelector("#filter-search");
      if (box) { event.preventDefault(); box.focus(); }
    }
  });
})();
