(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const show = value => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–";
  const numbers = text => text.split(" ").map(Number);
  const entry = (text, color) => {
    const line = document.createElement("div");
    if (color) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.color = color;
      line.append(swatch);
    }
    line.append(text);
    return line;
  };
  const nearest = (values, wanted) => {
    let best = -1;
    values.forEach((value, index) => {
      const nearer = best === -1 || Math.abs(value - wanted) - Math.abs(values[best] - wanted);
      if (nearer === true || 0 > nearer) best = index;
    });
    return best;
  };
  for (const chart of document.querySelectorAll("svg[data-plot]")) {
    const [left, , right] = numbers(chart.dataset.plot);
    const [low, high] = numbers(chart.dataset.domain);
    const cursor = chart.querySelector(".cursor");
    const lines = [...chart.querySelectorAll("path[data-x]")].filter(path => path.dataset.x).map(path => ({
      path, name: path.dataset.name, x: numbers(path.dataset.x), y: numbers(path.dataset.y),
    }));
    const hide = () => { tip.hidden = true; cursor.style.visibility = "hidden"; };
    const move = event => {
      if (lines.length === 0) return;
      const box = chart.getBoundingClientRect();
      const pixel = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
      const wanted = low + (pixel - left) / (right - left) * (high - low);
      const all = lines.map(line => ({ line, index: nearest(line.x, wanted) }));
      const closest = all.reduce((a, b) =>
        Math.abs(b.line.x[b.index] - wanted) >= Math.abs(a.line.x[a.index] - wanted) ? a : b);
      const x = closest.line.x[closest.index];
      const at = left + (x - low) / (high - low) * (right - left);
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      cursor.style.visibility = "visible";
      tip.replaceChildren(entry(chart.dataset.axis + " " + show(x)));
      for (const { line, index } of all) {
        // A curve of fewer points, or one that ended earlier, tells where its value is from.
        const elsewhere = line.x[index] === x ? "" : " at " + show(line.x[index]);
        const text = line.name + " " + show(line.y[index]) + elsewhere;
        tip.append(entry(text, getComputedStyle(line.path).color));
      }
      tip.hidden = false;
      const room = tip.getBoundingClientRect();
      const beside = event.clientX + 16;
      tip.style.left = (beside + room.width > innerWidth ? Math.max(4, event.clientX - room.width - 16) : beside) + "px";
      tip.style.top = Math.max(4, Math.min(event.clientY - 20, innerHeight - room.height - 4)) + "px";
    };
    chart.addEventListener("pointermove", move);
    chart.addEventListener("pointerdown", move);
    chart.addEventListener("pointerleave", hide);
  }
})();
