"use strict";
(function () {
	var svg = document.documentElement;
	var left = 10, inner = svg.viewBox.baseVal.width - 2 * left, charWidth = 6.6;
	var boxes = Array.prototype.map.call(document.querySelectorAll("g.f"), function (g) {
		var r = g.querySelector("rect"), t = g.querySelector("title").textContent;
		return {
			g: g, rect: r, text: g.querySelector("text"), title: t, name: t.slice(0, t.lastIndexOf(": ")),
			x: +r.getAttribute("x"), y: +r.getAttribute("y"), w: +r.getAttribute("width"),
		};
	});
	function zoom(to) {
		var scale = inner / to.w, near = 0.02;
		boxes.forEach(function (b) {
			var under = b.y > to.y && b.x <= to.x + near && b.x + b.w >= to.x + to.w - near;
			var above = b.y <= to.y && b.x >= to.x - near && b.x + b.w <= to.x + to.w + near;
			b.g.classList.toggle("off", !under && !above);
			if (!under && !above) return;
			var x = under ? left : left + (b.x - to.x) * scale, w = under ? inner : b.w * scale;
			b.rect.setAttribute("x", x);
			b.rect.setAttribute("width", w);
			b.text.setAttribute("x", x + 3);
			var room = Math.floor((w - 6) / charWidth);
			b.text.textContent = b.name.length <= room ? b.name : room < 3 ? "" : b.name.slice(0, room - 2) + "..";
		});
	}
	boxes.forEach(function (b) {
		b.g.addEventListener("click", function () { zoom(b); });
	});
	window.addEventListener("keydown", function (e) {
		if (!(e.ctrlKey && e.key === "f")) return;
		e.preventDefault();
		var want = window.prompt("mark functions whose names contain:") || "";
		var found = 0;
		boxes.forEach(function (b) {
			var hit = want !== "" && b.name.indexOf(want) >= 0;
			b.g.classList.toggle("m", hit);
			if (hit) found++;
		});
		document.getElementById("info").textContent = want === "" ? "" : found + " boxes";
	});
})();
