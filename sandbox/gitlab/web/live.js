// While something runs, the part of the page that shows it is asked for again every second. Without this script the
// page shows the same, as of the moment it was loaded.
for (const part of document.querySelectorAll("[data-live]")) {
  let shown = "";
  const again = async () => {
    const answer = await fetch(part.dataset.live, { cache: "no-store" }).catch(() => null);
    if (answer && answer.ok) {
      const text = await answer.text();
      const page = document.documentElement;
      const atEnd = page.scrollTop + page.clientHeight >= page.scrollHeight - 40;
      if (text !== shown) {
        const closed = [...part.querySelectorAll("details")].map((one) => !one.open);
        part.innerHTML = text; // escaped by the server
        part.querySelectorAll("details").forEach((one, at) => { one.open = !closed[at]; });
        shown = text;
        if ("follow" in part.dataset && atEnd) page.scrollTop = page.scrollHeight;
      }
      if (answer.headers.get("X-Over")) return;
    }
    setTimeout(again, 1000);
  };
  setTimeout(again, 300);
}
