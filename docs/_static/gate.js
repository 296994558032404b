// The gates of two trainings over time (GATES, from docs/measured/compare.json), under a slider that moves through a clip.
(() => {
  const figure = document.getElementById("gate");
  const [wide, high, left, top, gap] = [640, 150, 36, 22, 34];
  const titles = { "openface_adaptive": "Trained to report broken sensors", "openface_adaptive@no-reliability": "Trained as in the paper" };
  const first = Object.values(GATES)[0], last = first.time.length - 1, end = first.time[last];
  const x = t => left + (wide - left - 10) * t / end, y = (a, row) => top + row * (high + gap) + high * (1 - a);
  const path = (times, values, row) => times.map((t, i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(values[i], row).toFixed(1)}`).join("");
  const rows = Object.entries(GATES).map(([name, gates], row) => {
    const spans = Object.entries(gates.disturbed).map(([modality, { sense, how, span: [from, to] }]) =>
      `<rect class="${modality}" x="${x(from)}" y="${y(1, row)}" width="${x(to) - x(from)}" height="${high}"/>
       <text class="${modality}" x="${x((from + to) / 2)}" y="${y(0, row) - 6}" text-anchor="middle">${sense} ${how}</text>`);
    const lines = Object.keys(gates.disturbed).map(m => `<path class="${m}" d="${path(gates.time, gates[m].mean, row)}"/>
      <circle class="${m}" r="5" data-row="${row}"/>`);
    return `<text class="title" x="${left}" y="${y(1, row) - 7}">${titles[name]}</text>
      <path class="axis" d="M${left} ${y(1, row)}V${y(0, row)}H${wide - 10}"/>
      <text x="${left - 6}" y="${y(1, row) + 4}" text-anchor="end">1</text><text x="${left - 6}" y="${y(0, row) + 4}" text-anchor="end">0</text>
      ${spans.join("")}${lines.join("")}`;
  });
  const total = top + rows.length * (high + gap);
  figure.innerHTML = `<svg viewBox="0 0 ${wide} ${total}" role="img" aria-label="Gates over time, for two trainings">${rows.join("")}
    <path class="now"/></svg>
    <label>end of the window <input type="range" min="0" max="${last}" value="0"> <output></output></label>`;
  const slider = figure.querySelector("input");
  const show = () => {
    const i = Number(slider.value), t = first.time[i];
    figure.querySelector(".now").setAttribute("d", `M${x(t)} ${top}V${total - gap}`);
    const words = Object.entries(GATES).map(([name, gates], row) => {
      const values = Object.keys(gates.disturbed).map(m => [m, gates[m].mean[i]]);
      for (const [m, a] of values) {
        const circle = figure.querySelector(`circle.${m}[data-row="${row}"]`);
        circle.setAttribute("cx", x(t));
        circle.setAttribute("cy", y(a, row));
      }
      return values.map(([m, a]) => `${gates.disturbed[m].sense} ${a.toFixed(2)}`).join(", ");
    });
    figure.querySelector("output").textContent = `${t.toFixed(1)} s: ${words[0]}; as in the paper: ${words[1]}`;
  };
  slider.addEventListener("input", show);
  slider.value = Math.round(last / 2);
  show();
})();
